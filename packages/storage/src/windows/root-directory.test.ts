import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import {
  MemoryKernel,
  type MemoryNode,
  memoryDirectory,
  memoryFile,
  memoryJunction,
} from './memory-kernel.fixture.ts';
import { RootDirectory } from './root-directory.ts';
import { walkDirectory } from './walk-directory.ts';

/** What nobody may reach from the root. */
let outside: MemoryNode;
let inside: MemoryNode;
let kernel: MemoryKernel;

beforeEach(() => {
  outside = memoryDirectory({ secret: memoryFile(), folder: memoryDirectory({ a: memoryFile() }) });
  inside = memoryDirectory({
    way: memoryJunction(outside),
    file: memoryFile(),
    folder: memoryDirectory({ way: memoryJunction(outside), 'read-only': memoryFile(0x21) }),
  });
  kernel = new MemoryKernel({ 'C:': memoryDirectory({ root: inside, way: memoryJunction(outside) }) });
});

afterEach(() => {
  assert.equal(kernel.opened.size, 0, 'handles are left open');
  kernel[Symbol.dispose]();
});

const encountered = (error: unknown) => isHcsError(error, 'STATUS_REPARSE_POINT_ENCOUNTERED');
const namesIn = (node: MemoryNode | undefined) => [...(node?.children?.keys() ?? [])];

describe('below a directory, with a reparse point on the way,', () => {
  test('nothing is opened, looked at or listed', async () => {
    await using root = await RootDirectory.open('C:\\root');
    const open = (path: string) => root.open(path, { access: ['read'] });
    for (const path of ['way\\secret', 'folder\\way\\folder\\a', 'way']) {
      await assert.rejects(open(path), (error) => {
        assert.ok(encountered(error));
        assert.match(
          (error as Error).message,
          /^Cannot open ".*way.*" in directory "C:\\root": NtCreateFile /,
        );
        return true;
      });
      await assert.rejects(root.ensureNoReparsePoint(path), encountered);
      await assert.rejects(root.list(path), encountered);
    }
    await assert.rejects(root.lstat('way\\secret'), encountered);
    await assert.rejects(root.lstatIfThere('way\\none'), encountered);
  });

  test('nothing is made, linked or removed', async () => {
    await using root = await RootDirectory.open('C:\\root');
    await assert.rejects(root.mkdir('way\\new'), encountered);
    await assert.rejects(root.mkdirAll('way\\new\\newer'), (error) => isHcsError(error, 'ERROR_DIRECTORY'));
    await assert.rejects(root.open('way\\new', { access: ['write'], disposition: 'create' }), encountered);
    await assert.rejects(root.link('file', 'way\\new'), encountered);
    await assert.rejects(root.link('way\\secret', 'new'), encountered);
    await assert.rejects(root.remove('way\\secret'), encountered);
    await assert.rejects(root.removeAll('way\\folder'), encountered);
    assert.deepEqual(namesIn(outside), ['secret', 'folder']);
    assert.deepEqual(namesIn(inside), ['way', 'file', 'folder']);
  });

  test('what the point leads to stays when the point itself is removed, alone or with all around it', async () => {
    await using root = await RootDirectory.open('C:\\root');
    assert.equal((await root.lstat('way')).attributes, 0x410);
    await root.remove('way');
    await root.removeAll('folder');
    assert.deepEqual(namesIn(inside), ['file']);
    assert.deepEqual(namesIn(outside), ['secret', 'folder']);
    assert.deepEqual(namesIn(outside.children?.get('folder')), ['a']);
  });

  test('a walk sees the point, and goes not into it', async () => {
    await using root = await RootDirectory.open('C:\\root');
    const { signal } = new AbortController();
    const found = await Array.fromAsync(walkDirectory(root, 'folder', { signal }));
    assert.deepEqual(
      found.map(({ path, isDirectory }) => [path, isDirectory]),
      [
        ['folder', true],
        ['folder\\read-only', false],
        ['folder\\way', false],
      ],
    );
    const [point] = await Array.fromAsync(walkDirectory(root, 'way', { signal }));
    assert.deepEqual(point, { path: 'way', attributes: 0x410, isDirectory: false });
  });
});

describe('a directory', () => {
  test('has its files linked into another', async () => {
    await using root = await RootDirectory.open('C:/root/./');
    await using other = await RootDirectory.open('C:\\root\\folder');
    assert.equal(root.path, 'C:\\root\\');
    await root.link('file', 'a', { to: other });
    assert.equal(inside.children?.get('folder')?.children?.get('a'), inside.children?.get('file'));
  });

  test('is walked by the bytes of the names in UTF-8, without what is left out', async () => {
    inside.children = new Map(
      ['\uff5e', '😀', 'b', 'B', 'a', 'é'].map((name) => [name, memoryDirectory({ x: memoryFile() })]),
    );
    kernel[Symbol.dispose]();
    kernel = new MemoryKernel({ 'C:': memoryDirectory({ root: memoryDirectory({ top: inside }) }) });
    await using root = await RootDirectory.open('C:\\root');
    const walk = walkDirectory(root, 'top', {
      signal: new AbortController().signal,
      isLeftOut: (path) => path === 'top\\b' || path.endsWith('x'),
    });
    const names = (await Array.fromAsync(walk)).map(({ path }) => path.slice(4));
    assert.deepEqual(names, ['', 'B', 'a', 'é', '\uff5e', '😀']);
  });

  test('takes no path that leads out of it, for any call', async () => {
    await using root = await RootDirectory.open('C:\\root');
    const calls = [
      (path: string) => root.open(path, { access: ['read'] }),
      (path: string) => root.link(path, 'new'),
      (path: string) => root.link('file', path),
      (path: string) => root.remove(path),
      (path: string) => root.removeAll(path),
      (path: string) => root.mkdir(path),
      (path: string) => root.mkdirAll(path),
      (path: string) => root.lstat(path),
      (path: string) => root.list(path),
      (path: string) => root.ensureNoReparsePoint(path),
    ];
    for (const call of calls)
      for (const path of ['..\\a', 'C:\\a', '\\\\?\\C:\\a', 'file:stream', '\\a', ''])
        await assert.rejects(call(path), (error) => isHcsError(error, 'E_INVALIDARG'), `${call} ${path}`);
    await assert.rejects(RootDirectory.open('root'), (error) => isHcsError(error, 'E_INVALIDARG'));
  });

  test('that opens after it was given up is closed', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    await using root = await RootDirectory.open('C:\\root');
    const given = [
      RootDirectory.open('C:\\root', { signal }),
      root.open('file', { access: ['read'], signal }),
    ];
    controller.abort(new Error('enough'));
    for (const one of given) await assert.rejects(one, /enough/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(kernel.opened.size, 1);
  });
});
