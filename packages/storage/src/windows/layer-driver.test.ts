import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { type BoundDll, DllCallError, guidFromBytes, readMemory, type vmcompute } from '@hcsshim/windows';
import { LayerDriver } from './layer-driver.ts';

type Vmcompute = BoundDll<typeof vmcompute>;

/** The GUID that the DLL below gives to a name. */
const guidOf = (name: string): string =>
  `00000000-0000-0000-0000-${Buffer.from(name.padEnd(6).slice(0, 6)).toString('hex')}`;

function textAt(address: bigint, units: number): string {
  return readMemory(address, 2 * units)
    .toString('utf16le')
    .replace(/\0$/, '');
}

/** A vmcompute.dll that takes its calls apart. */
function fakeDll(overrides: Partial<Vmcompute> = {}) {
  const calls: [string, unknown][] = [];
  const log = (name: string) => async (inputs: object) => {
    calls.push([name, inputs]);
    return undefined;
  };
  const dll = new Proxy({} as Vmcompute, {
    get: (_, name: string) => {
      if (name === 'NameToGuid') return async (inputs: { name: string }) => ({ guid: guidOf(inputs.name) });
      return (overrides as Record<string, unknown>)[name] ?? log(name);
    },
  });
  return { dll, calls };
}

const scratch = 'C:\\layers\\scratch';
const parents = ['C:\\layers\\second', 'C:\\layers\\first é'];

describe('the driver of layers', () => {
  test('hands over its flavour, its home and the id', async () => {
    const { dll, calls } = fakeDll();
    await new LayerDriver({ dll }).activate(scratch);
    await new LayerDriver({ dll, home: 'C:\\layers', flavour: 'diff' }).deactivate('scratch');
    const [first, second] = calls.map(([name, inputs]) => {
      const { info, id } = inputs as { info: Buffer; id: string };
      const address = info.readBigUInt64LE(8);
      return { name, id, flavour: info.readInt32LE(0), home: textAt(address, id === scratch ? 1 : 10) };
    });
    assert.deepEqual(first, { name: 'ActivateLayer', id: scratch, flavour: 1, home: '' });
    assert.deepEqual(second, { name: 'DeactivateLayer', id: 'scratch', flavour: 0, home: 'C:\\layers' });
  });

  test('describes parents by the GUIDs of their names and by their paths, in order', async () => {
    const { dll, calls } = fakeDll();
    const driver = new LayerDriver({ dll });
    await driver.createScratch(scratch, parents);
    await driver.prepare(scratch, parents);
    await driver.export(scratch, 'C:\\out', parents);
    await driver.import(scratch, 'C:\\in', parents);
    assert.deepEqual(
      calls.map(([name]) => name),
      ['CreateSandboxLayer', 'PrepareLayer', 'ExportLayer', 'ImportLayer'],
    );
    for (const [, inputs] of calls) {
      const { descriptors, count } = inputs as { descriptors: Buffer; count: bigint };
      assert.equal(count, 2n);
      const read = parents.map((path, index) => ({
        guid: guidFromBytes(descriptors.subarray(32 * index)),
        flags: descriptors.readUInt32LE(32 * index + 16),
        path: textAt(descriptors.readBigUInt64LE(32 * index + 24), path.length + 1),
      }));
      assert.deepEqual(read, [
        { guid: guidOf('second'), flags: 0, path: 'C:\\layers\\second' },
        { guid: guidOf('first é'), flags: 0, path: 'C:\\layers\\first é' },
      ]);
    }
    assert.partialDeepStrictEqual(calls.slice(2), [
      ['ExportLayer', { path: 'C:\\out' }],
      ['ImportLayer', { path: 'C:\\in' }],
    ]);
  });

  test('has no descriptors where there are no parents', async () => {
    const { dll, calls } = fakeDll();
    await new LayerDriver({ dll }).import('C:\\layers\\base', 'C:\\in', []);
    assert.partialDeepStrictEqual(calls, [['ImportLayer', { path: 'C:\\in', descriptors: null, count: 0n }]]);
  });

  test('asks for the length of a mount path, then for the path', async () => {
    const path = '\\\\?\\Volume{0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11}\\';
    const lengths: bigint[] = [];
    const GetLayerMountPath: Vmcompute['GetLayerMountPath'] = async ({ length, buffer }) => {
      lengths.push(length);
      if (buffer instanceof Buffer) buffer.write(path, 'utf16le');
      return { length: BigInt(path.length + 1) };
    };
    const driver = new LayerDriver({ dll: fakeDll({ GetLayerMountPath }).dll });
    assert.equal(await driver.mountPath(scratch), path);
    assert.deepEqual(lengths, [0n, BigInt(path.length + 1)]);
  });

  test('believes no length that a path cannot have, and gives no path for a layer that is not mounted', async () => {
    const told = (length: bigint) =>
      new LayerDriver({ dll: fakeDll({ GetLayerMountPath: async () => ({ length }) }).dll });
    await assert.rejects(told(1n << 40n).mountPath(scratch), (error) =>
      isHcsError(error, 'ERROR_INVALID_DATA'),
    );
    assert.equal(await told(0n).mountPath(scratch), '');
  });

  test('gives what Windows tells', async () => {
    const { dll } = fakeDll({
      LayerExists: async () => ({ exists: true }),
      GetBaseImages: async () => ({ images: '{"Images":[]}' }),
    });
    const driver = new LayerDriver({ dll });
    assert.equal(await driver.exists(scratch), true);
    assert.equal(await driver.sharedBaseImages(), '{"Images":[]}');
    assert.equal(await driver.layerId(scratch), guidOf('scratch'));
    assert.equal(await driver.nameToGuid('name'), guidOf('name'));
  });

  test('names each call as Windows does', async () => {
    const { dll, calls } = fakeDll();
    const driver = new LayerDriver({ dll });
    await driver.create(scratch, 'C:\\layers\\parent');
    await driver.destroy(scratch);
    await driver.unprepare(scratch);
    await driver.processBaseLayer('C:\\layers\\base');
    await driver.processUtilityVmImage('C:\\layers\\base\\UtilityVM');
    await driver.grantVmAccess('0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11', 'C:\\disk.vhdx');
    assert.deepEqual(
      calls.map(([name, inputs]) => {
        const { info: _, ...rest } = inputs as { info?: Buffer };
        return [name, rest];
      }),
      [
        ['CreateLayer', { id: scratch, parent: 'C:\\layers\\parent' }],
        ['DestroyLayer', { id: scratch }],
        ['UnprepareLayer', { id: scratch }],
        ['ProcessBaseImage', { path: 'C:\\layers\\base' }],
        ['ProcessUtilityImage', { path: 'C:\\layers\\base\\UtilityVM' }],
        ['GrantVmAccess', { vmId: '0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11', filePath: 'C:\\disk.vhdx' }],
      ],
    );
  });

  test('prepares one layer at a time, also after one that failed', async () => {
    let underWay = 0;
    let most = 0;
    const PrepareLayer: Vmcompute['PrepareLayer'] = async ({ id }) => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 5));
      underWay--;
      if (id.endsWith('bad')) throw failed(0x80070015);
      return undefined;
    };
    const driver = new LayerDriver({ dll: fakeDll({ PrepareLayer }).dll });
    const prepared = await Promise.allSettled(
      ['bad', 'a', 'b', 'c'].map((name) => driver.prepare(`C:\\${name}`, parents)),
    );
    assert.deepEqual(
      prepared.map(({ status }) => status),
      ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
    );
    assert.equal(most, 1);
  });

  test('tells a failure with the layer, the call, and the name of the code', async () => {
    const driver = new LayerDriver({
      dll: fakeDll({ ActivateLayer: () => Promise.reject(failed(0x80070015)) }).dll,
    });
    await assert.rejects(driver.activate(scratch), (error) => {
      assert.ok(isHcsError(error, 'ERROR_NOT_READY') && error.cause instanceof DllCallError);
      assert.match(
        error.message,
        /^Cannot activate layer "C:\\layers\\scratch": ActivateLayer failed, .*ERROR_NOT_READY \(0x80070015\)$/,
      );
      return true;
    });
  });

  test('takes ids that are absolute paths, or with a home, names of folders', async () => {
    const { dll, calls } = fakeDll();
    for (const id of ['', 'scratch', 'layers\\scratch', 'C:\\a\0b'])
      await assert.rejects(
        new LayerDriver({ dll }).destroy(id),
        (error) => isHcsError(error, 'E_INVALIDARG'),
        id,
      );
    const atHome = new LayerDriver({ dll, home: 'C:\\layers' });
    for (const id of ['', '.', '..', '..\\other', 'C:', 'a/b'])
      await assert.rejects(atHome.destroy(id), (error) => isHcsError(error, 'E_INVALIDARG'), id);
    assert.throws(() => new LayerDriver({ dll, home: 'layers' }), { code: 'E_INVALIDARG' });
    assert.deepEqual(calls, []);
  });

  test('gives a call up after its time', async () => {
    const never = new LayerDriver({ dll: fakeDll({ ActivateLayer: () => new Promise(() => {}) }).dll });
    await assert.rejects(never.activate(scratch, { timeout: 10 }), {
      code: 'HCS_E_OPERATION_TIMEOUT',
      message: /^Cannot activate layer "C:\\layers\\scratch": no answer within 0\.01 s/,
    });
    const controller = new AbortController();
    const given = never.activate(scratch, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await assert.rejects(given, /enough/);
  });
});

function failed(status: number): DllCallError {
  return new DllCallError({ dll: 'vmcompute.dll', procedure: 'ActivateLayer', kind: 'HRESULT', status });
}
