import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import {
  attachLayerStorageFilter,
  attachOverlayFilter,
  destroyLayer,
  detachLayerStorageFilter,
  detachOverlayFilter,
  exportLayer,
  grantVmGroupAccess,
  importLayer,
  initializeWritableLayer,
  type LayerData,
  LayerDriver,
  layerDiskMountPath,
  setUpBaseOsVolume,
  setUpContainerBaseLayer,
  setUpUtilityVmBaseLayer,
  VirtualDisk,
} from '@hcsshim/storage/windows';
import { type BoundDll, bind, type Dll, type vmcompute } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const root = mkdtempSync(join(tmpdir(), 'windows-layers-'));
after(() => rmSync(root, { recursive: true }));

const GIB = 1n << 30n;
const layerData: LayerData = {
  Layers: [{ Id: '0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11', Path: join(root, 'parent') }],
};

function folder(name: string, ...below: string[]): string {
  const path = join(root, name);
  mkdirSync(path);
  for (const one of below) mkdirSync(join(path, one));
  return path;
}

const disks = bind({
  file: 'virtdisk.dll',
  build: 0,
  source: 'stand-in/virtdisk.c',
  procedures: {
    StandInCountOpenDisks: { returns: 'INT', parameters: {}, immediate: true, purpose: 'Not closed' },
    StandInCountAttachedDisks: { returns: 'INT', parameters: {}, immediate: true, purpose: 'Not detached' },
  },
} as const satisfies Dll);

describe('layers of Windows containers', () => {
  test('are imported, exported and destroyed', async () => {
    const source = folder('source', 'Files');
    writeFileSync(join(source, 'Files', 'a'), 'content');
    const layer = join(root, 'imported');
    await importLayer(layer, source, {});
    const target = folder('target');
    await exportLayer(layer, target, layerData, { isWritableLayer: true });
    assert.equal(readFileSync(join(target, 'Files', 'a'), 'utf8'), 'content');
    await destroyLayer(layer);
    await assert.rejects(destroyLayer(layer), (error) => {
      assert.ok(isHcsError(error, 'ERROR_PATH_NOT_FOUND'));
      assert.ok(error.message.startsWith(`Cannot destroy layer "${layer}": HcsDestroyLayer failed, `));
      return true;
    });
  });

  test('get their filters and lose them', async () => {
    const layer = folder('writable');
    await initializeWritableLayer(layer, layerData);
    await attachLayerStorageFilter(layer, layerData);
    await detachLayerStorageFilter(layer);
    const union: LayerData = { ...layerData, FilterType: 'UnionFS' };
    await attachOverlayFilter(layer, union);
    await detachOverlayFilter(layer, union);
    await assert.rejects(detachLayerStorageFilter(layer), (error) => isHcsError(error, 'ERROR_NOT_FOUND'));
  });

  test('have documents that are checked before the call', async () => {
    const layer = folder('documents');
    const calls = ledgerOf('computestorage.dll').StandInCountCalls({ procedure: 'HcsAttachOverlayFilter' });
    await assert.rejects(attachOverlayFilter(layer, { FilterType: 'Other' as 'UnionFS' }), (error) => {
      assert.ok(isHcsError(error, 'HCS_E_INVALID_JSON'));
      assert.match(error.message, /^Cannot attach the overlay filter to volume .*FilterType/);
      return true;
    });
    assert.equal(
      ledgerOf('computestorage.dll').StandInCountCalls({ procedure: 'HcsAttachOverlayFilter' }),
      calls,
    );
  });

  test('of a base image get the two disks that containers start from', async () => {
    const layer = folder('base', 'Files', 'Hives');
    writeFileSync(join(layer, 'Hives', 'old'), '');
    const paths = {
      base: join(layer, 'blank-base.vhdx'),
      differencing: join(layer, 'blank.vhdx'),
      size: GIB,
    };
    await setUpContainerBaseLayer(layer, paths);
    // A second time replaces them, in another size.
    await setUpContainerBaseLayer(layer, { ...paths, size: 2n * GIB });
    assert.equal(existsSync(join(layer, 'Hives', 'old')), false);
    for (const path of [paths.base, paths.differencing]) assert.ok(existsSync(path));
    await using disk = await VirtualDisk.open(paths.differencing);
    await disk.attach();
    // It shows the file system of its base.
    assert.match(await layerDiskMountPath(disk), /^\\\\\?\\Volume\{[0-9a-f-]{36}\}\\$/);
  });

  test('of a base image that is none get no disk', async () => {
    const layer = folder('no base');
    const paths = { base: join(layer, 'blank-base.vhdx'), differencing: join(layer, 'blank.vhdx') };
    await assert.rejects(setUpContainerBaseLayer(layer, paths), (error) => {
      assert.ok(isHcsError(error, 'HCS_E_INVALID_LAYER'));
      assert.ok(
        error.message.startsWith(
          `Cannot set up base layer "${layer}" of containers: cannot set up base layer "${layer}": `,
        ),
      );
      return true;
    });
    for (const path of [paths.base, paths.differencing]) assert.equal(existsSync(path), false);
  });

  test('of a utility VM get a disk that boots it, and one over it', async () => {
    const uvm = folder('UtilityVM', 'Files');
    const paths = {
      base: join(uvm, 'SystemTemplateBase.vhdx'),
      differencing: join(uvm, 'SystemTemplate.vhdx'),
    };
    await setUpUtilityVmBaseLayer(uvm, paths);
    for (const path of [paths.base, paths.differencing]) assert.ok(existsSync(path));
    await assert.rejects(setUpUtilityVmBaseLayer(uvm, { ...paths, size: 7n }), (error) =>
      isHcsError(error, 'E_INVALIDARG'),
    );
    // What was there went first, since another size was asked for.
    for (const path of [paths.base, paths.differencing]) assert.equal(existsSync(path), false);
  });

  test('on a volume are set up where Windows is new enough to have the call', async () => {
    const layer = folder('volume layer', 'Files');
    const volume = folder('volume');
    await setUpBaseOsVolume(layer, volume, { Type: 'Container' });
    assert.ok(existsSync(join(volume, 'Boot')));
  });

  test('and their disks can be used by virtual machines, once that was granted', async () => {
    const path = join(folder('granted'), 'disk.vhdx');
    writeFileSync(path, '');
    await grantVmGroupAccess(path);
    await grantVmGroupAccess(join(root, 'granted'), { rights: ['read', 'all'] });
    await assert.rejects(grantVmGroupAccess(join(root, 'none')), (error) => {
      assert.ok(isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
      assert.match(error.message, /^Cannot let virtual machines use ".*none": /);
      return true;
    });
  });

  test('of containers that grow have their disk attached while its file system is looked at', async () => {
    const scratch = folder('scratch');
    await (await VirtualDisk.create(join(scratch, 'sandbox.vhdx'), GIB))[Symbol.asyncDispose]();
    let attached: number | undefined;
    const driver = new LayerDriver({
      dll: vmcomputeWithMountPath('C:\\', () => {
        attached = disks.StandInCountAttachedDisks({});
      }),
    });
    // Wine 8 opens a volume, but does not tell how long the partition below it is.
    await assert.rejects(driver.expandScratchSize(scratch, 2n * GIB), (error) => {
      assert.ok(isHcsError(error, 'ERROR_NOT_SUPPORTED'));
      assert.match(
        error.message,
        /^Cannot expand scratch layer ".*scratch" to 2147483648 bytes: DeviceIoControl failed, /,
      );
      return true;
    });
    assert.equal(attached, 1);
    assert.equal(disks.StandInCountAttachedDisks({}), 0);
  });

  test('leave no disk open, no filter and no text behind', async () => {
    assert.equal(disks.StandInCountOpenDisks({}), 0);
    await assertNothingLeakedFrom(ledgerOf('computestorage.dll'));
  });
});

/** As much of vmcompute.dll as an expansion calls. */
function vmcomputeWithMountPath(path: string, onCall: () => void): BoundDll<typeof vmcompute> {
  const dll: Partial<BoundDll<typeof vmcompute>> = {
    ExpandSandboxSize: async () => undefined,
    async GetLayerMountPath({ buffer }) {
      onCall();
      if (buffer instanceof Buffer) buffer.write(path, 'utf16le');
      return { length: BigInt(path.length + 1) };
    },
  };
  return dll as BoundDll<typeof vmcompute>;
}
