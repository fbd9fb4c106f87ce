import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compatibility } from './compatibility-table.ts';
import { OurExports } from './our-exports.ts';
import { upstreamExports } from './upstream-exports.ts';

const ours = await OurExports.read(fileURLToPath(new URL('..', import.meta.url)));
const rows = compatibility.flatMap((section) => Object.entries(section.rows));

test("the table has each export of upstream's root package once, and no other", () => {
  const upstream = Object.values(upstreamExports).flatMap((names) => names.trim().split(/\s+/));
  assert.equal(upstream.length, 233);
  assert.deepEqual(rows.map(([name]) => name).sort(), upstream.sort());
});

test('each row names something of ours, or says why there is nothing', () => {
  for (const [name, row] of rows) {
    assert.ok(row.ours !== undefined || (row.note ?? '') !== '', name);
  }
});

for (const [name, { ours: target }] of rows) {
  if (target === undefined) continue;
  test(`${name} is ${target}`, () => assert.ok(ours.has(target), `"${target}" does not exist`));
}

test('the door of the SDK for Windows has all that is for Windows', () => {
  const targets = rows
    .flatMap(([, row]) => row.ours ?? [])
    .filter((target) => /^@hcsshim\/\w+\/windows /.test(target));
  assert.ok(targets.length > 50);
  for (const target of targets) {
    const inSdk = target.replace(/^\S+/, 'hcsshim/windows');
    assert.ok(ours.has(inSdk), `"${inSdk}" does not exist`);
  }
});

const exports: [target: string, exists: boolean, what: string][] = [
  ['@hcsshim/hcs ComputeSystem', true, 'an interface'],
  ['@hcsshim/hcs ComputeSystem.start', true, 'a method of an interface'],
  ['@hcsshim/hcs ComputeSystem.id', true, 'a property of an interface'],
  ['@hcsshim/hcs ComputeSystem.begin', false, 'a method that is not there'],
  ['@hcsshim/hcs ComputeSystem[Symbol.asyncDispose]', true, 'a disposer that is inherited'],
  ['@hcsshim/hcs ContainerDocument.Layers', true, 'a field that is inherited from another package'],
  ['@hcsshim/hcs ContainerDocument.Lamps', false, 'a field that is not inherited'],
  ['@hcsshim/hcs SystemExit[Symbol.asyncDispose]', false, 'a disposer that is not there'],
  ['@hcsshim/uvm UtilityVm[Symbol.asyncDispose]', true, "a class's disposer"],
  ['@hcsshim/uvm UtilityVm.start', true, 'a static method'],
  ['@hcsshim/uvm UtilityVm.options', false, 'a parameter'],
  ['@hcsshim/hcs HcsError', true, 'what another package has'],
  ['hcsshim isNotFound', true, 'what a door exports again of a star export'],
  ['@hcsshim/schema HResult.E_FAIL', true, 'a field of a constant'],
  ['@hcsshim/schema HResult.E_NONE', false, 'a field that a constant has not'],
  ['@hcsshim/schema/hns PolicyType "ACL"', true, 'a word of a type'],
  ['@hcsshim/schema/hns PolicyType "Allow"', false, "another type's word"],
  ['@hcsshim/schema/hcs checkDocument', true, 'what is taken out of an object'],
  ['@hcsshim/windows vmcompute.procedures.NameToGuid', true, 'a field of a field'],
  ['@hcsshim/windows vmcompute.procedures.name', false, 'a field that is one step deeper'],
  ['@hcsshim/windows vmcompute.NameToGuid', false, 'a field that is one step deeper, without that step'],
  ['@hcsshim/hcs serviceError', false, 'what only a module inside exports'],
  ['@hcsshim/nothing start', false, 'a package that is not there'],
];

for (const [target, exists, what] of exports) {
  test(`exports are read from the sources: ${what}`, () => assert.equal(ours.has(target), exists, target));
}

test('what is no target is refused', () => {
  for (const target of ['@hcsshim/hcs', '@hcsshim/hcs a b', 'x y.z "'])
    assert.throws(() => ours.has(target), /Cannot look for/);
});
