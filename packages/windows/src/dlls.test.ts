import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dlls } from './dlls/index.ts';
import { koffi } from './koffi.ts';
import { Marshaller } from './marshal.ts';
import type { Dll, Procedure } from './procedure.ts';
import { proceduresOfHcsshim } from './procedures-of-hcsshim.fixture.ts';

const rows = dlls.flatMap((dll) =>
  Object.entries(dll.procedures).map(([name, procedure]): [Dll, string, Procedure] => [dll, name, procedure]),
);

describe('the tables of procedures', () => {
  test('have every procedure that hcsshim calls, with as many parameters', () => {
    const wanted = Object.entries(proceduresOfHcsshim).flatMap(([file, names]) =>
      names
        .trim()
        .split(/\s+/)
        .map((row) => `${file} ${row}`),
    );
    assert.equal(wanted.length, 157);
    const ours = new Set(
      rows.map(([dll, name, { parameters }]) => `${dll.file} ${name}/${Object.keys(parameters).length}`),
    );
    assert.deepEqual(
      wanted.filter((row) => !ours.has(row)),
      [],
    );
  });

  test('name each DLL once, as a file in lower case', () => {
    const files = dlls.map(({ file }) => file);
    assert.equal(new Set(files).size, files.length);
    for (const file of files) assert.match(file, /^[a-z0-9_-]+\.(dll|exe)$/);
  });

  test('have builds of Windows, none older than its DLL', () => {
    for (const [dll, name, { build = dll.build }] of rows) {
      assert.ok(Number.isInteger(build) && build >= dll.build && build < 30_000, `${dll.file} ${name}`);
    }
  });

  test('say what each procedure is for, in words that fit a table', () => {
    for (const [, name, { purpose }] of rows) assert.match(purpose, /^[A-Z][^|\n]{3,}[^.|\n]$/, name);
  });

  test('give out parameters or a value, never both, since a call has one result', () => {
    const codes = /^(void|HRESULT|NTSTATUS|WIN32_ERROR|CONFIGRET|BOOL|SOCKET_ERROR)$/;
    for (const [, name, { returns, parameters }] of rows) {
      const hasOutputs = Object.values(parameters).some((kind) => /^(in)?out /.test(kind));
      assert.ok(!hasOutputs || codes.test(returns) || returns === 'HANDLE', name);
    }
  });

  test('declare every prototype so that koffi understands it', () => {
    for (const [dll, name, procedure] of rows) {
      const { returns, parameters } = new Marshaller(dll, name, procedure);
      assert.equal(koffi().proto(returns, parameters).proto?.arguments.length, parameters.length, name);
    }
  });
});
