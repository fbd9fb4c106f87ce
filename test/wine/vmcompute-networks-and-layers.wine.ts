import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { bind, setPointer, vmcompute, wideString } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const dll = bind(vmcompute);
const ledger = ledgerOf('vmcompute.dll');

after(async () => {
  await assertNothingLeakedFrom(ledger);
  const uncalled = Object.keys(vmcompute.procedures).filter(
    (procedure) => !procedure.startsWith('Hcs') && ledger.StandInCountCalls({ procedure }) === 0,
  );
  assert.deepEqual(uncalled, [], 'procedures that no test has called');
});

interface HnsAnswer<T> {
  Success: boolean;
  Error?: string;
  ErrorCode?: number;
  Output: T;
}

async function hns<T>(method: string, path: string, request?: object): Promise<HnsAnswer<T>> {
  const object = request === undefined ? '' : JSON.stringify(request);
  const { response } = await dll.HNSCall({ method, path, object });
  return JSON.parse(response ?? '') as HnsAnswer<T>;
}

describe('the first network service by vmcompute.dll', () => {
  test('networks and endpoints are created, listed, read, attached and deleted', async () => {
    const network = await hns<{ ID: string }>('POST', '/networks/', {
      Name: 'nat',
      Type: 'NAT',
      Subnets: [{ AddressPrefix: '172.20.0.0/16', GatewayAddress: '172.20.0.1' }],
    });
    assert.equal(network.Success, true);
    const { ID } = network.Output;
    assert.deepEqual((await hns<object[]>('GET', '/networks/')).Output, [network.Output]);
    assert.deepEqual((await hns('GET', `/networks/${ID.toLowerCase()}`)).Output, network.Output);
    const endpoint = await hns<Record<string, unknown>>('POST', '/endpoints/', {
      Name: 'eth0',
      VirtualNetwork: ID,
    });
    const { ID: endpointId, IPAddress, VirtualNetworkName, State } = endpoint.Output;
    assert.deepEqual([IPAddress, VirtualNetworkName, State], ['172.20.0.2', 'nat', 1]);
    const path = `/endpoints/${endpointId}`;
    assert.deepEqual(await hns('POST', `${path}/attach`, { ContainerId: 'c', SystemType: 'Container' }), {
      Success: true,
    });
    const { Output } = await hns<{ SharedContainers: string[]; State: number }>('GET', path);
    assert.deepEqual([Output.SharedContainers, Output.State], [['c'], 2]);
    assert.deepEqual((await hns('DELETE', path)).Output, { ID: endpointId });
    assert.deepEqual((await hns('GET', '/endpoints/')).Output, []);
    assert.equal((await hns('DELETE', `/networks/${ID}`)).Success, true);
  });

  test('a failure is an answer with words and a code', async () => {
    assert.deepEqual(await hns('GET', '/networks/00000000-0000-0000-0000-000000000000'), {
      Success: false,
      Error: 'The network was not found. ',
      ErrorCode: 0x803b0001,
    });
    assert.equal((await hns('POST', '/endpoints/', { VirtualNetwork: 'none' })).Success, false);
    assert.equal((await hns('GET', '/namespaces/none')).Error, 'Element not found. ');
    assert.equal((await hns('BREW', '/networks/')).Success, false);
  });

  test('namespaces take endpoints and policy lists refer to them', async () => {
    const { ID: network } = (await hns<{ ID: string }>('POST', '/networks/', { Type: 'L2Bridge' })).Output;
    const { ID: endpoint } = (await hns<{ ID: string }>('POST', '/endpoints/', { VirtualNetwork: network }))
      .Output;
    const { ID: namespace } = (await hns<{ ID: string }>('POST', '/namespaces/', {})).Output;
    const resource = { Type: 'Endpoint', Data: { Id: endpoint } };
    const taken = await hns<{ ResourceList: object[] }>(
      'POST',
      `/namespaces/${namespace}/addresource`,
      resource,
    );
    assert.deepEqual(taken.Output.ResourceList, [resource]);
    await hns('POST', `/namespaces/${namespace}/removeresource`, resource);
    const References = [`/endpoints/${endpoint}`];
    const list = await hns<{ References: string[] }>('POST', '/policylists/', { References, Policies: [] });
    assert.deepEqual(list.Output.References, References);
    const missing = { References: ['/endpoints/none'] };
    assert.equal((await hns('POST', '/policylists/', missing)).Success, false);
    assert.equal((await hns<{ Major: number }>('GET', '/globals/version')).Output.Major, 15);
    const statistics = await hns<{ EndpointId: string }>('GET', `/endpointstats/${endpoint}`);
    assert.equal(statistics.Output.EndpointId, endpoint);
  });
});

/** `DriverInfo`: the filter driver, and no home directory. */
function driverInfo(): Buffer {
  const info = Buffer.alloc(16);
  info.writeInt32LE(1);
  setPointer(info, 8, wideString(''));
  return info;
}

const info = driverInfo();

async function descriptors(...paths: string[]): Promise<{ descriptors: Buffer; count: bigint }> {
  const bytes = Buffer.alloc(paths.length * 32);
  for (const [index, path] of paths.entries()) {
    const { guid } = await dll.NameToGuid({ name: path.slice(path.lastIndexOf('\\') + 1) });
    const at = index * 32;
    const [first = '', second = '', third = '', ...rest] = guid.split('-');
    bytes.writeUInt32LE(Number.parseInt(first, 16), at);
    bytes.writeUInt16LE(Number.parseInt(second, 16), at + 4);
    bytes.writeUInt16LE(Number.parseInt(third, 16), at + 6);
    Buffer.from(rest.join(''), 'hex').copy(bytes, at + 8);
    setPointer(bytes, at + 24, wideString(path));
  }
  return { descriptors: bytes, count: BigInt(paths.length) };
}

async function mountPath(id: string): Promise<string> {
  const { length } = await dll.GetLayerMountPath({ info, id, length: 0n, buffer: null });
  const path = Buffer.alloc(Number(length) * 2);
  await dll.GetLayerMountPath({ info, id, length, buffer: path });
  return path.toString('utf16le', 0, path.length - 2);
}

describe('container layers by vmcompute.dll', () => {
  const base = 'C:\\layers\\base';
  const upper = 'C:\\layers\\über';
  const scratch = 'C:\\layers\\scratch';
  const pathNotFound = { hresult: 0x80070003 };
  const inUse = { hresult: 0x80070020 };
  const invalid = { hresult: 0x80070057 };

  test('a writable layer over two others is mounted, filtered, and taken down in order', async () => {
    await dll.ProcessBaseImage({ path: base });
    await dll.ImportLayer({ info, id: upper, path: 'C:\\import', ...(await descriptors(base)) });
    const parents = await descriptors(upper, base);
    await dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...parents });
    assert.deepEqual(await dll.LayerExists({ info, id: scratch }), { exists: true });
    assert.equal(await mountPath(scratch), scratch);
    await dll.ExpandSandboxSize({ info, id: scratch, size: 40n << 30n });
    await assert.rejects(dll.PrepareLayer({ info, id: scratch, ...parents }), { hresult: 0x80070015 });
    await dll.ActivateLayer({ info, id: scratch });
    await assert.rejects(dll.ActivateLayer({ info, id: scratch }), inUse);
    await assert.rejects(dll.PrepareLayer({ info, id: scratch, ...(await descriptors(base)) }), invalid);
    await dll.PrepareLayer({ info, id: scratch, ...parents });
    assert.match(await mountPath(scratch), /^\\\\\?\\Volume\{[0-9a-f-]{36}\}\\$/);
    await assert.rejects(dll.DeactivateLayer({ info, id: scratch }), inUse);
    await assert.rejects(dll.DestroyLayer({ info, id: scratch }), inUse);
    await dll.UnprepareLayer({ info, id: scratch });
    await assert.rejects(dll.UnprepareLayer({ info, id: scratch }), invalid);
    await dll.ExportLayer({ info, id: scratch, path: 'C:\\export', ...parents });
    await dll.DeactivateLayer({ info, id: scratch });
    await dll.DestroyLayer({ info, id: scratch });
    assert.deepEqual(await dll.LayerExists({ info, id: scratch }), { exists: false });
    await assert.rejects(mountPath(scratch), pathNotFound);
  });

  test('layers are created, copied, and refused when what they lie on is not there', async () => {
    await dll.CreateLayer({ info, id: 'C:\\layers\\empty', parent: base });
    await assert.rejects(dll.CreateLayer({ info, id: 'C:\\layers\\empty', parent: '' }), {
      hresult: 0x800700b7,
    });
    await assert.rejects(dll.CreateLayer({ info, id: 'C:\\layers\\x', parent: 'C:\\none' }), pathNotFound);
    const destinationId = 'C:\\layers\\copy';
    await dll.CopyLayer({ info, sourceId: upper, destinationId, ...(await descriptors(base)) });
    await dll.ActivateLayer({ info, id: destinationId });
    assert.equal(await mountPath(destinationId), destinationId);
    const none = await descriptors('C:\\none');
    await assert.rejects(dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...none }), pathNotFound);
    const misnamed = await descriptors(base);
    misnamed.descriptors.writeUInt32LE(0);
    await assert.rejects(dll.CreateSandboxLayer({ info, id: scratch, parent: null, ...misnamed }), invalid);
    await assert.rejects(dll.ActivateLayer({ info: null, id: base }), invalid);
    await assert.rejects(dll.ActivateLayer({ info: Buffer.alloc(16), id: base }), invalid);
  });

  test('images are processed, and a VM may use a file', async () => {
    await dll.ProcessUtilityImage({ path: `${base}\\UtilityVM` });
    assert.equal((await dll.GetBaseImages({})).images, '{"Images":[]}');
    await dll.GrantVmAccess({ vmId: 'vm', filePath: 'C:\\disk.vhdx' });
    await assert.rejects(dll.GrantVmAccess({ vmId: '', filePath: 'C:\\disk.vhdx' }), invalid);
    const { guid } = await dll.NameToGuid({ name: 'base' });
    assert.deepEqual(await dll.NameToGuid({ name: 'base' }), { guid });
    assert.notEqual((await dll.NameToGuid({ name: 'other' })).guid, guid);
  });
});
