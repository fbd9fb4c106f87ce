import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readAnnotations, shimGroup, writeBundleFile } from './bundle.ts';

const type = 'io.kubernetes.cri.container-type';
const sandbox = 'io.kubernetes.cri.sandbox-id';

test('a container of a pod belongs to the shim of its sandbox', () => {
  assert.deepEqual(shimGroup('a', {}), { id: 'a', joins: false });
  assert.deepEqual(shimGroup('a', { [type]: 'sandbox', [sandbox]: 'a' }), { id: 'a', joins: false });
  assert.deepEqual(shimGroup('a', { [type]: 'container', [sandbox]: 'p' }), { id: 'p', joins: true });
});

test('annotations that contradict the id are refused', () => {
  assert.throws(
    () => shimGroup('a', { [type]: 'sandbox', [sandbox]: 'b' }),
    /is "b", it must be the same id/,
  );
  assert.throws(() => shimGroup('a', { [type]: 'container' }), /it must name the pod's sandbox/);
  assert.throws(() => shimGroup('a', { [type]: 'other' }), /it must be "sandbox" or "container"/);
});

test('a config.json that cannot be used is named', (t) => {
  const bundle = mkdtempSync(join(tmpdir(), 'shim-bundle-'));
  t.after(() => rmSync(bundle, { recursive: true }));
  assert.throws(() => readAnnotations(bundle), /Cannot use ".*config\.json": it cannot be read/);
  const cases: [text: string, message: RegExp][] = [
    ['{', /it is not JSON/],
    ['{"annotations": []}', /its annotations must be an object/],
  ];
  for (const [text, message] of cases) {
    writeFileSync(join(bundle, 'config.json'), text);
    assert.throws(() => readAnnotations(bundle), message);
  }
  writeFileSync(join(bundle, 'config.json'), '{}');
  assert.deepEqual(readAnnotations(bundle), {});
});

test('a bundle file replaces its predecessor and leaves no draft', (t) => {
  const bundle = mkdtempSync(join(tmpdir(), 'shim-bundle-'));
  t.after(() => rmSync(bundle, { recursive: true }));
  writeBundleFile(bundle, 'address', 'old');
  writeBundleFile(bundle, 'address', 'unix:///x');
  assert.deepEqual(readdirSync(bundle), ['address']);
  assert.equal(readFileSync(join(bundle, 'address'), 'utf8'), 'unix:///x');
});
