import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { RootDirectory } from '@hcsshim/storage/windows';
import { bind, DllCallError, ntdll, readMemory } from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

const folder = mkdtempSync(join(tmpdir(), 'safe-files-'));
after(() => rmSync(folder, { recursive: true }));

const at = (...names: string[]) => join(folder, ...names);
const code = (name: Parameters<typeof isHcsError>[1]) => (error: unknown) => isHcsError(error, name);

let handles: number;
before(async () => {
  // The first call of each procedure opens what stays.
  await using root = await RootDirectory.open(folder);
  await root.mkdir('warm');
  await root.removeAll('warm');
  handles = openHandles();
});

describe('a directory, and what is below it', () => {
  test('is made, found, listed and removed', async () => {
    await using root = await RootDirectory.open(folder);
    await root.mkdirAll('a\\b/c é');
    writeFileSync(at('a', 'b', 'file'), 'hello');
    assert.deepEqual(
      (await root.list('a\\b')).map(({ name, attributes }) => [name, attributes & 0x10]).sort(),
      [
        ['c é', 0x10],
        ['file', 0],
      ],
    );
    assert.deepEqual(
      (await root.list()).map(({ name }) => name),
      ['a'],
    );
    const info = await root.lstat('a\\b\\file');
    assert.ok(info.lastWriteTime > 130_000_000_000_000_000n && (info.attributes & 0x10) === 0);
    assert.equal(await root.lstatIfThere('a\\none'), undefined);
    assert.equal(await root.lstatIfThere('none\\none'), undefined);
    await root.ensureNoReparsePoint('a\\b');
    await root.mkdirAll('a\\b');
    await root.removeAll('a');
    await root.removeAll('a');
    assert.deepEqual(readdirSync(folder), []);
  });

  test('has files that are opened, written and read at an offset', async () => {
    await using root = await RootDirectory.open(folder);
    {
      await using file = await root.open('file', { access: ['read', 'write'], disposition: 'create' });
      await file.write(Buffer.from('hello'), 0n);
      await file.write(Buffer.from('J'), 0n);
      await file.setBasicInfo({ lastWriteTime: 131_000_000_000_000_000n });
      const buffer = Buffer.alloc(10);
      assert.equal(await file.read(buffer, 1n), 4);
      assert.equal(buffer.toString('utf8', 0, 4), 'ello');
      assert.equal(await file.read(buffer, 5n), 0);
      assert.equal(await file.size(), 5n);
    }
    assert.equal(readFileSync(at('file'), 'utf8'), 'Jello');
    assert.equal((await root.lstat('file')).lastWriteTime, 131_000_000_000_000_000n);
    await assert.rejects(
      root.open('file', { access: ['read', 'write'], disposition: 'create' }),
      code('ERROR_ALREADY_EXISTS'),
    );
    await root.remove('file');
  });

  test('has links, in itself and in another directory', async () => {
    mkdirSync(at('other', 'in'), { recursive: true });
    writeFileSync(at('first'), 'text');
    await using root = await RootDirectory.open(folder);
    await using other = await RootDirectory.open(at('other'));
    await root.link('first', 'second');
    await root.link('second', 'in\\third', { to: other });
    assert.equal(readFileSync(at('other', 'in', 'third'), 'utf8'), 'text');
    {
      await using file = await root.open('first', { access: ['readAttributes'] });
      await using third = await other.open('in\\third', { access: ['readAttributes'] });
      assert.equal((await file.linkInfo()).links, 3);
      assert.deepEqual(await third.linkInfo(), await file.linkInfo());
    }
    await assert.rejects(root.link('first', 'second'), code('ERROR_ALREADY_EXISTS'));
    await assert.rejects(root.link('first', 'none\\second'), code('ERROR_FILE_NOT_FOUND'));
    for (const name of ['first', 'second', 'other']) await root.removeAll(name);
  });

  test('loses a file that is read-only too, but no directory with something in it', async () => {
    mkdirSync(at('full'));
    writeFileSync(at('full', 'file'), '');
    chmodSync(at('full', 'file'), 0o444);
    await using root = await RootDirectory.open(folder);
    await assert.rejects(root.remove('full'), (error) => {
      assert.ok(isHcsError(error, 'ERROR_DIR_NOT_EMPTY'));
      assert.equal(
        error.message,
        `Cannot remove "full" in directory "${folder}": NtSetInformationFile failed, the directory is not empty, ERROR_DIR_NOT_EMPTY (0x80070091)`,
      );
      return true;
    });
    await root.remove('full\\file');
    await root.remove('full');
    await assert.rejects(root.remove('full'), code('ERROR_FILE_NOT_FOUND'));
  });

  test('has kinds: a file is no directory', async () => {
    writeFileSync(at('file'), '');
    await using root = await RootDirectory.open(folder);
    await assert.rejects(root.mkdirAll('file\\a'), code('ERROR_DIRECTORY'));
    await assert.rejects(root.list('file'), code('ERROR_DIRECTORY'));
    await assert.rejects(root.open('file', { access: ['read'], directory: true }), code('ERROR_DIRECTORY'));
    await root.remove('file');
    await assert.rejects(RootDirectory.open(at('none')), code('ERROR_FILE_NOT_FOUND'));
  });

  test('is all that can be reached', async () => {
    writeFileSync(`${folder}-outside`, '');
    await using root = await RootDirectory.open(folder);
    const outside = `${folder}-outside`;
    for (const path of [
      `..\\${outside.slice(outside.lastIndexOf('\\') + 1)}`,
      outside,
      `\\\\?\\${outside}`,
    ]) {
      await assert.rejects(root.open(path, { access: ['read'] }), code('E_INVALIDARG'));
      await assert.rejects(root.removeAll(path), code('E_INVALIDARG'));
      await assert.rejects(root.link('file', path), (error) => error instanceof Error);
    }
    assert.ok(existsSync(outside));
    rmSync(outside);
  });

  // Wine 8 makes no reparse points, so that the answer to one is put into the kernel's mouth.
  test('is reached through no reparse point', async () => {
    mkdirSync(at('junction'));
    await using root = await RootDirectory.open(folder);
    using _ = answerReparsePoints('junction');
    await assert.rejects(root.open('junction\\a', { access: ['read'] }), (error) => {
      assert.ok(isHcsError(error, 'STATUS_REPARSE_POINT_ENCOUNTERED'));
      assert.match(error.message, /^Cannot open "junction\\a" in .*: NtCreateFile failed, .* reparse point/);
      return true;
    });
    await assert.rejects(root.ensureNoReparsePoint('junction'), code('STATUS_REPARSE_POINT_ENCOUNTERED'));
    await assert.rejects(root.mkdirAll('junction\\a'), code('STATUS_REPARSE_POINT_ENCOUNTERED'));
    await assert.rejects(root.removeAll('junction\\a'), code('STATUS_REPARSE_POINT_ENCOUNTERED'));
    // That of the link itself is no way through it.
    await root.remove('junction');
    assert.deepEqual(readdirSync(folder), []);
  });

  test('leaves no handle behind', () => {
    assert.ok(openHandles() - handles < 5, `${openHandles() - handles} handles more than before`);
  });
});

/** Has NtCreateFile answer as Windows does for a path of which a name is a reparse point. */
function answerReparsePoints(name: string): Disposable {
  const bound = bind(ntdll);
  const { NtCreateFile } = bound;
  const openReparsePoint = 0x00200000;
  const replaced: typeof NtCreateFile = async (inputs) => {
    const attributes = inputs.objectAttributes as Buffer;
    const isRelative = attributes.readBigUInt64LE(8) !== 0n;
    const dontReparse = 0x1000;
    if (isRelative) assert.equal(attributes.readUInt32LE(24) & dontReparse, dontReparse);
    const names = pathOf(attributes).split('\\');
    const isWithin = names.slice(0, -1).includes(name);
    const isEnd = names.at(-1) === name && (inputs.createOptions & openReparsePoint) === 0;
    if (isRelative && (isWithin || isEnd)) {
      throw new DllCallError({
        dll: 'ntdll.dll',
        procedure: 'NtCreateFile',
        kind: 'NTSTATUS',
        status: 0xc000050b,
      });
    }
    return NtCreateFile(inputs);
  };
  Object.defineProperty(bound, 'NtCreateFile', { value: replaced, configurable: true });
  return {
    [Symbol.dispose]: () =>
      void Object.defineProperty(bound, 'NtCreateFile', { value: NtCreateFile, configurable: true }),
  };
}

/** The name in `OBJECT_ATTRIBUTES`: at 16 the address of a `UNICODE_STRING`. */
function pathOf(attributes: Buffer): string {
  const name = readMemory(attributes.readBigUInt64LE(16), 16);
  const length = name.readUInt16LE(0);
  return length === 0 ? '' : readMemory(name.readBigUInt64LE(8), length).toString('utf16le');
}
