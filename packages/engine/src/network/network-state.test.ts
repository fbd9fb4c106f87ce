import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NetworkState, type Subject } from './network-state.ts';
import { Refusal } from './refusal.ts';

const id = '01234567-89ab-cdef-0123-456789abcdef';
const { signal } = new AbortController();
const subject = { kind: 'namespaces', id, signal } as const;
const record = (Name: string) => ({ version: 1 as const, document: { ID: id, Name } });

function open(t: TestContext): { state: NetworkState; recovered: (Subject | undefined)[]; root: string } {
  const directory = mkdtempSync(join(tmpdir(), 'hcsshim-network-state-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const state = new NetworkState(directory);
  const recovered: (Subject | undefined)[] = [];
  state.onRecovery((pending) => recovered.push(pending));
  return { state, recovered, root: state.root };
}

test('a change that fails leaves the record as it was, and nobody has to recover', async (t) => {
  const { state, recovered } = open(t);
  await state.change(subject, (undo) => state.write('namespaces', record('first'), undo));
  const change = state.change(subject, (undo) => {
    state.write('namespaces', record('second'), undo);
    state.write('namespaces', record('third'), undo);
    throw new Error('enough');
  });
  await assert.rejects(change, /enough/);
  assert.equal(state.read('namespaces', id)?.document.Name, 'first');
  await state.change(subject, () => {});
  assert.deepEqual(recovered, [undefined]);
});

test('a change that cannot be undone tells both errors, and the next one recovers first', async (t) => {
  const { state, recovered } = open(t);
  const change = state.change(subject, (undo) => {
    undo.defer(() => {
      throw new Error('it is stuck');
    });
    throw new Error('it went wrong');
  });
  await assert.rejects(change, /it went wrong; and to undo it failed: it is stuck/);
  await state.change(subject, () => {});
  await state.change(subject, () => {});
  assert.deepEqual(recovered, [undefined, { kind: 'namespaces', id }]);
});

test('a deletion that fails is recovered from, unless it was refused', async (t) => {
  const { state, recovered } = open(t);
  const remove = { ...subject, recoverOnFailure: true };
  const refused = state.change(remove, () => {
    throw new Refusal('ERROR_NOT_FOUND', 'it is not there');
  });
  await assert.rejects(refused, Refusal);
  const failed = state.change(remove, () => {
    throw new Error('half way');
  });
  await assert.rejects(failed, /half way/);
  await state.change(subject, () => {});
  assert.deepEqual(recovered, [undefined, { kind: 'namespaces', id }]);
});

test('a note of a change that was broken off may be damaged', async (t) => {
  const { state, recovered, root } = open(t);
  await state.make();
  for (const text of [
    '',
    '{',
    '{"kind":"../..","id":"x"}',
    JSON.stringify({ kind: 'networks', id: '../x' }),
  ]) {
    writeFileSync(join(root, 'pending.json'), text);
    await state.change(subject, () => {});
    assert.equal(recovered.at(-1), undefined);
    assert.equal(existsSync(join(root, 'pending.json')), false);
  }
});

test('a record that is damaged, or of another version or object, is told with what to do', async (t) => {
  const { state, root } = open(t);
  await state.make();
  const path = join(root, 'namespaces', `${id}.json`);
  const other = { ...record('x'), document: { ID: 'other' } };
  for (const text of ['{', 'null', '{"version":2}', '{"version":1}', JSON.stringify(other)]) {
    writeFileSync(path, text);
    assert.throws(
      () => state.list('namespaces'),
      { code: 'ERROR_INVALID_DATA', message: /remove ".*\.json"/ },
      text,
    );
  }
  rmSync(path);
  writeFileSync(join(root, 'namespaces', 'notes.txt'), '');
  assert.deepEqual(state.list('namespaces'), []);
});
