import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { LayerDriver } from '@hcsshim/storage/windows';
import { openPlatform } from 'hcsshim';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const root = mkdtempSync(join(tmpdir(), 'layer-driver-'));
after(() => rmSync(root, { recursive: true }));

const base = join(root, 'base é');
const upper = join(root, 'upper');
const scratch = join(root, 'scratch');
const driver = new LayerDriver();

describe('the driver of layers, over vmcompute.dll', () => {
  test('makes read-only layers, and finds them', async () => {
    assert.equal(await driver.exists(base), false);
    await driver.processBaseLayer(base);
    await driver.import(upper, join(root, 'folder'), [base]);
    assert.equal(await driver.exists(upper), true);
    await driver.export(upper, join(root, 'exported'), [base]);
    await driver.create(join(root, 'empty'), base);
    await driver.processUtilityVmImage(join(root, 'UtilityVM'));
    for (const name of ['empty', 'UtilityVM']) await driver.destroy(join(root, name));
    assert.equal(await driver.exists(join(root, 'empty')), false);
  });

  test("takes a container's layer through its life", async () => {
    await driver.createScratch(scratch, [upper, base]);
    await driver.activate(scratch);
    await driver.prepare(scratch, [upper, base]);
    const id = await driver.layerId(scratch);
    assert.equal(id, await driver.nameToGuid('scratch'));
    assert.equal(await driver.mountPath(scratch), `\\\\?\\Volume{${id}}\\`);
    await assert.rejects(driver.destroy(scratch), (error) => isHcsError(error, 'ERROR_SHARING_VIOLATION'));
    await driver.unprepare(scratch);
    await driver.deactivate(scratch);
    assert.equal(await driver.mountPath(scratch), scratch);
    // The layer's folder and disk, which the stand-in does not make.
    await assert.rejects(driver.expandScratchSize(scratch, 40n << 30n), (error) => {
      assert.ok(isHcsError(error, 'ERROR_PATH_NOT_FOUND'));
      assert.match(
        error.message,
        /: cannot open disk ".*\\scratch\\sandbox\.vhdx": OpenVirtualDisk failed, /,
      );
      return true;
    });
    await driver.destroy(scratch);
  });

  test('refuses parents in another order, and layers that are not there', async () => {
    await assert.rejects(driver.activate(scratch), (error) => isHcsError(error, 'ERROR_PATH_NOT_FOUND'));
    await driver.createScratch(scratch, [upper, base]);
    await driver.activate(scratch);
    await assert.rejects(driver.prepare(scratch, [base, upper]), (error) =>
      isHcsError(error, 'E_INVALIDARG'),
    );
    await driver.deactivate(scratch);
    await driver.destroy(scratch);
  });

  test('knows layers by their names where it has a home', async () => {
    const atHome = new LayerDriver({ home: root });
    assert.equal(await atHome.exists('upper'), true);
    assert.equal(await atHome.mountPath('upper'), upper);
  });

  test('is what the platform has for layers', async () => {
    await using platform = await openPlatform();
    assert.equal(await (await platform.storage.openLayerDriver()).exists(upper), true);
  });

  test('lists what the host shares, and lets a virtual machine use a file', async () => {
    assert.equal(await driver.sharedBaseImages(), '{"Images":[]}');
    await driver.grantVmAccess('0b8b2b1c-5c1d-4b62-9d0e-3e2d5f7a9c11', join(base, 'disk.vhdx'));
    const calls = ledgerOf('vmcompute.dll').StandInCountCalls({ procedure: 'GrantVmAccess' });
    assert.equal(calls, 1);
  });

  test('leaves no text behind', async () => {
    await assertNothingLeakedFrom(ledgerOf('vmcompute.dll'));
  });
});
