import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bind, type Handle, offreg } from '@hcsshim/windows';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

type Key = Handle<'ORHKEY'>;

const registry = bind(offreg);
const root = mkdtempSync(join(tmpdir(), 'offreg-'));
after(() => rmSync(root, { recursive: true }));

const failure = (status: number) => ({ kind: 'WIN32_ERROR', status });
const windows10 = { osMajorVersion: 10, osMinorVersion: 0 };
const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'utf16le');
const create = { class: null, options: 0, securityDescriptor: null };

async function setText(hive: Key, subKey: string, value: string, content: string): Promise<void> {
  const { result: key } = await registry.ORCreateKey({ key: hive, subKey, ...create });
  const data = text(content);
  await registry.ORSetValue({ key, value, type: 1, data, length: data.length });
  await registry.ORCloseKey({ key });
}

async function getText(key: Key, subKey: string | null, value: string): Promise<string> {
  const { length } = await registry.ORGetValue({ key, subKey, value, data: null, length: 0 });
  const data = Buffer.alloc(length);
  const read = await registry.ORGetValue({ key, subKey, value, data, length });
  assert.deepEqual(read, { type: 1, length });
  return data.toString('utf16le', 0, length - 2);
}

describe('offreg.dll', () => {
  test('writes a hive that reads back as it was', async () => {
    const path = join(root, 'software');
    const { hive } = await registry.ORCreateHive({});
    await setText(hive, 'Microsoft\\Windows é', 'Name', 'value ü');
    await registry.ORSaveHive({ hive, path, ...windows10 });
    await registry.ORCloseHive({ hive });
    assert.equal(readFileSync(path).toString('latin1', 0, 4), 'regf');

    const { hive: again } = await registry.OROpenHive({ path });
    // Names of keys and values are the same in either case.
    assert.equal(await getText(again, 'MICROSOFT\\windows é', 'NAME'), 'value ü');
    const { result: key } = await registry.OROpenKey({ key: again, subKey: 'Microsoft' });
    assert.equal(await getText(key, 'Windows é', 'Name'), 'value ü');
    await registry.ORCloseKey({ key });
    await registry.ORCloseHive({ hive: again });
  });

  test('lays a later hive over an earlier one', async () => {
    const { hive: base } = await registry.ORCreateHive({});
    await setText(base, 'A', 'both', 'base');
    await setText(base, 'A', 'base', 'base');
    const { hive: delta } = await registry.ORCreateHive({});
    await setText(delta, 'A', 'both', 'delta');
    await setText(delta, 'A\\B', 'delta', 'delta');
    const hives = Buffer.alloc(16);
    hives.writeBigUInt64LE(base, 0);
    hives.writeBigUInt64LE(delta, 8);
    const { result: merged } = await registry.ORMergeHives({ hives, count: 2 });
    assert.deepEqual(
      [
        await getText(merged, 'A', 'both'),
        await getText(merged, 'A', 'base'),
        await getText(merged, 'A\\B', 'delta'),
      ],
      ['delta', 'base', 'delta'],
    );
    await assert.rejects(registry.ORMergeHives({ hives: Buffer.alloc(16, 1), count: 2 }), failure(6));
    for (const hive of [base, delta, merged]) await registry.ORCloseHive({ hive });
  });

  test('tells whether a key was made or was there, and deletes one that has none below', async () => {
    const { hive } = await registry.ORCreateHive({});
    const wanted = { key: hive, subKey: 'A\\B', ...create };
    const made = await registry.ORCreateKey(wanted);
    const found = await registry.ORCreateKey(wanted);
    assert.deepEqual([made.disposition, found.disposition], [1, 2]);
    for (const { result: key } of [made, found]) await registry.ORCloseKey({ key });
    await assert.rejects(registry.ORDeleteKey({ key: hive, subKey: 'A' }), failure(1020));
    await registry.ORDeleteKey({ key: hive, subKey: 'A\\B' });
    await registry.ORDeleteKey({ key: hive, subKey: 'A' });
    await assert.rejects(registry.OROpenKey({ key: hive, subKey: 'A' }), failure(2));
    await registry.ORCloseHive({ hive });
  });

  test('gives the length of a value that does not fit', async () => {
    const { hive } = await registry.ORCreateHive({});
    await registry.ORSetValue({ key: hive, value: null, type: 3, data: Buffer.from([1, 2, 3]), length: 3 });
    await assert.rejects(registry.ORGetValue({ key: hive, data: Buffer.alloc(2), length: 2 }), failure(234));
    const data = Buffer.alloc(8);
    assert.deepEqual(await registry.ORGetValue({ key: hive, data, length: 8 }), { type: 3, length: 3 });
    assert.deepEqual([...data], [1, 2, 3, 0, 0, 0, 0, 0]);
    await assert.rejects(
      registry.ORGetValue({ key: hive, value: 'none', data: null, length: 0 }),
      failure(2),
    );
    await registry.ORCloseHive({ hive });
  });

  test('refuses files that are no hives, and to write over a file', async () => {
    const [empty, other] = [join(root, 'empty'), join(root, 'other')];
    writeFileSync(empty, '');
    writeFileSync(other, 'regf and nothing that follows from it');
    await assert.rejects(registry.OROpenHive({ path: empty }), failure(1009));
    await assert.rejects(registry.OROpenHive({ path: other }), failure(1017));
    await assert.rejects(registry.OROpenHive({ path: join(root, 'none') }), failure(2));
    const { hive } = await registry.ORCreateHive({});
    await assert.rejects(registry.ORSaveHive({ hive, path: other, ...windows10 }), failure(183));
    await assert.rejects(
      registry.ORSaveHive({ hive, path: join(root, 'x'), osMajorVersion: 4, osMinorVersion: 0 }),
      failure(87),
    );
    await registry.ORCloseHive({ hive });
    await assert.rejects(registry.ORCloseHive({ hive }), failure(6));
  });

  test('was given back all that it gave', async () => {
    await assertNothingLeakedFrom(ledgerOf('offreg.dll'));
  });
});
