import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { VirtualDisk } from '@hcsshim/storage/windows';
import { bind, computestorage, type Handle } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const storage = bind(computestorage);
const root = mkdtempSync(join(tmpdir(), 'layers-'));
after(() => rmSync(root, { recursive: true }));

const parent = { Id: '0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11', Path: join(root, 'parent') };
const version = { SchemaVersion: { Major: 2, Minor: 1 } };
const noParents = JSON.stringify(version);
const oneParent = JSON.stringify({ ...version, Layers: [parent] });
const overlay = JSON.stringify({ ...version, Layers: [parent], FilterType: 'UnionFS' });
const container = JSON.stringify({ Type: 'Container' });

const invalidJson = { kind: 'HRESULT', hresult: 0x8037010d };
const invalidArgument = { kind: 'HRESULT', hresult: 0x80070057 };
const pathNotFound = { kind: 'HRESULT', hresult: 0x80070003 };
const notReady = { kind: 'HRESULT', hresult: 0x80070015 };

async function folder(name: string, ...below: string[]): Promise<string> {
  const path = join(root, name);
  await mkdir(path);
  for (const one of below) await mkdir(join(path, one));
  return path;
}

describe('computestorage.dll', () => {
  test('makes a layer of a folder, writes it to another, and removes it', async () => {
    const source = await folder('source', 'Files');
    writeFileSync(join(source, 'Files', 'hello é.txt'), 'hello');
    const layerPath = join(root, 'layer');
    await storage.HcsImportLayer({ layerPath, sourceFolderPath: source, layerData: noParents });
    const exportFolderPath = await folder('exported');
    const options = JSON.stringify({ IsWritableLayer: false });
    await storage.HcsExportLayer({ layerPath, exportFolderPath, layerData: noParents, options });
    assert.equal(readFileSync(join(exportFolderPath, 'Files', 'hello é.txt'), 'utf8'), 'hello');
    await storage.HcsDestroyLayer({ layerPath });
    assert.equal(existsSync(layerPath), false);
    await assert.rejects(storage.HcsDestroyLayer({ layerPath }), pathNotFound);
  });

  test('refuses documents that are none, or lack what they must have', async () => {
    const layerPath = await folder('documents');
    for (const layerData of ['', 'no JSON', '{}', `${noParents},`, '{"SchemaVersion":{"Major":2}}'])
      await assert.rejects(storage.HcsAttachLayerStorageFilter({ layerPath, layerData }), invalidJson);
    const noPath = JSON.stringify({ ...version, Layers: [{ Id: parent.Id }] });
    await assert.rejects(storage.HcsAttachLayerStorageFilter({ layerPath, layerData: noPath }), invalidJson);
    await assert.rejects(
      storage.HcsAttachLayerStorageFilter({ layerPath, layerData: noParents }),
      invalidArgument,
    );
  });

  test('puts filters over a layer and takes each off once', async () => {
    const layerPath = await folder('filtered');
    await storage.HcsInitializeWritableLayer({ writableLayerPath: layerPath, layerData: oneParent });
    assert.ok(existsSync(join(layerPath, 'Files')));
    await storage.HcsAttachLayerStorageFilter({ layerPath, layerData: oneParent });
    await storage.HcsAttachOverlayFilter({ volumePath: layerPath, layerData: overlay });
    assert.equal(ledgerOf('computestorage.dll').StandInCountOpenHandles({}), 2);
    await storage.HcsDetachOverlayFilter({ volumePath: layerPath, layerData: overlay });
    await storage.HcsDetachLayerStorageFilter({ layerPath });
    await assert.rejects(storage.HcsDetachLayerStorageFilter({ layerPath }), { hresult: 0x80070490 });
    await assert.rejects(
      storage.HcsAttachOverlayFilter({ volumePath: layerPath, layerData: oneParent }),
      invalidJson,
    );
  });

  test("sets a container's base layer up without a disk, once", async () => {
    const layerPath = await folder('base', 'Files');
    await storage.HcsSetupBaseOSLayer({ layerPath, options: container });
    assert.ok(existsSync(join(layerPath, 'Hives')) && existsSync(join(layerPath, 'Layout')));
    await assert.rejects(storage.HcsSetupBaseOSLayer({ layerPath, options: container }), {
      hresult: 0x800700b7,
    });
    const volumePath = await folder('volume');
    await storage.HcsSetupBaseOSVolume({ layerPath, volumePath, options: container });
    assert.ok(existsSync(join(volumePath, 'Boot')));
    await assert.rejects(
      storage.HcsSetupBaseOSVolume({ layerPath, volumePath, options: '{"Type":"Other"}' }),
      invalidJson,
    );
  });

  test("sets a utility VM's base layer up on a disk that is attached, and tells its volume", async () => {
    const layerPath = await folder('uvm', 'Files');
    const options = JSON.stringify({ Type: 'Vm' });
    await using disk = await VirtualDisk.create(join(root, 'base.vhdx'), 20n << 30n);
    await disk.use(async (vhdHandle) => {
      await assert.rejects(
        storage.HcsSetupBaseOSLayer({ layerPath, vhdHandle, options: container }),
        invalidArgument,
      );
      await assert.rejects(storage.HcsSetupBaseOSLayer({ layerPath, vhdHandle, options }), notReady);
      await disk.attach();
      await assert.rejects(storage.HcsGetLayerVhdMountPath({ vhdHandle }), notReady);
      await storage.HcsSetupBaseOSLayer({ layerPath, vhdHandle, options });
      const { mountPath } = await storage.HcsGetLayerVhdMountPath({ vhdHandle });
      assert.match(mountPath ?? '', /^\\\\\?\\Volume\{[0-9a-f-]{36}\}$/);
      await disk.detach();
    });
  });

  test('formats a disk, of which nothing else is one', async () => {
    await using disk = await VirtualDisk.create(join(root, 'scratch.vhdx'), 1n << 30n);
    await disk.use((vhdHandle) => storage.HcsFormatWritableLayerVhd({ vhdHandle }));
    const vhdHandle = 0x7ffffff0n as Handle<'HANDLE'>;
    await assert.rejects(storage.HcsFormatWritableLayerVhd({ vhdHandle }), { hresult: 0x80070006 });
  });

  test('was given back all that it gave', async () => {
    await assertNothingLeakedFrom(ledgerOf('computestorage.dll'));
  });
});
