import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import { CimImage, mountCim, unmountCim } from '@hcsshim/storage/windows';
import {
  bind,
  bindfltapi,
  cimfs,
  type Dll,
  type Handle,
  kernel32,
  ntdll,
  setPointer,
  wideString,
} from '@hcsshim/windows';
import { objectAttributes } from './native-structures.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

type Image = Handle<'CIMFS_IMAGE_HANDLE'>;
type Stream = Handle<'CIMFS_STREAM_HANDLE'>;

const cim = bind(cimfs);
const root = mkdtempSync(join(tmpdir(), 'cimfs-'));
after(() => rmSync(root, { recursive: true }));

const invalidArgument = { kind: 'HRESULT', hresult: 0x80070057 };
const directory = 0x10;

/** `CIMFS_FILE_METADATA` (cimfs.h): attributes, at 8 the size, at 40 a security descriptor and its size. */
function metadata(attributes: number, size: bigint, securityDescriptor?: Buffer): Buffer {
  const bytes = Buffer.alloc(96);
  bytes.writeUInt32LE(attributes, 0);
  bytes.writeBigInt64LE(size, 8);
  if (securityDescriptor !== undefined) {
    setPointer(bytes, 48, securityDescriptor);
    bytes.writeUInt32LE(securityDescriptor.length, 56);
  }
  return bytes;
}

async function withImage(
  names: { oldFileSystemName?: string; newFileSystemName?: string },
  work: (image: Image) => Promise<void>,
): Promise<void> {
  const { image } = await cim.CimCreateImage({ imagePath: root, ...names });
  try {
    await work(image);
  } finally {
    await cim.CimCloseImage({ image });
  }
}

async function addFile(
  image: Image,
  path: string,
  content: Buffer,
  securityDescriptor?: Buffer,
): Promise<void> {
  const { stream } = await cim.CimCreateFile({
    image,
    path,
    metadata: metadata(0x20, BigInt(content.length), securityDescriptor),
  });
  await write(stream, content);
  await cim.CimCloseStream({ stream });
}

async function addDirectory(image: Image, path: string): Promise<void> {
  const { stream } = await cim.CimCreateFile({ image, path, metadata: metadata(directory, 0n) });
  await cim.CimCloseStream({ stream });
}

async function write(stream: Stream, buffer: Buffer): Promise<void> {
  await cim.CimWriteStream({ stream, buffer, length: buffer.length });
}

/** What the stand-in wrote: path, attributes, size, sum of all bytes, sizes of metadata, what a hard link is to. */
function entriesOf(name: string): string[][] {
  const [header, ...lines] = readFileSync(join(root, name), 'utf8')
    .replace(/^\ufeff/, '')
    .trim()
    .split(/\r?\n/);
  assert.equal(header, 'stand-in cim');
  return lines.map((line) => line.split('\t'));
}

describe('cimfs.dll', () => {
  test('writes files, directories, alternate streams and links into an image', async () => {
    await withImage({ newFileSystemName: 'first.cim' }, async (image) => {
      await addDirectory(image, 'Files');
      await addFile(image, 'Files\\hello é', Buffer.from('hello'), Buffer.alloc(20, 1));
      const { stream } = await cim.CimCreateAlternateStream({ image, path: 'Files\\hello é:zone', size: 3n });
      await write(stream, Buffer.from([1, 2, 3]));
      await cim.CimCloseStream({ stream });
      await cim.CimCreateHardLink({ image, newPath: 'Files\\link', oldPath: 'Files\\hello é' });
      await cim.CimCommitImage({ image });
    });
    assert.deepEqual(entriesOf('first.cim'), [
      ['Files', '16', '0', '0', '0', '0', '0', '-'],
      ['Files\\hello é', '32', '5', '532', '20', '0', '0', '-'],
      ['Files\\hello é:zone', '0', '3', '6', '0', '0', '0', '-'],
      ['Files\\link', '32', '5', '532', '0', '0', '0', 'Files\\hello é'],
    ]);
  });

  test('makes a new image of an old one, without what was deleted', async () => {
    await withImage({ oldFileSystemName: 'first.cim', newFileSystemName: 'second.cim' }, async (image) => {
      await cim.CimDeletePath({ image, path: 'Files\\hello é' });
      await addFile(image, 'Files\\new', Buffer.alloc(0));
      await cim.CimCommitImage({ image });
      await assert.rejects(cim.CimDeletePath({ image, path: 'Files\\hello é' }), { hresult: 0x80070002 });
    });
    assert.deepEqual(
      entriesOf('second.cim').map(([path]) => path),
      ['Files', 'Files\\link', 'Files\\new'],
    );
    await assert.rejects(
      withImage({ oldFileSystemName: 'none.cim' }, async () => {}),
      { hresult: 0x80070002 },
    );
  });

  test('takes as many bytes as a file was said to have, and tells when there were fewer', async () => {
    await withImage({ newFileSystemName: 'sizes.cim' }, async (image) => {
      const { stream } = await cim.CimCreateFile({ image, path: 'file', metadata: metadata(0x20, 4n) });
      await assert.rejects(write(stream, Buffer.alloc(5)), invalidArgument);
      await write(stream, Buffer.alloc(3));
      await assert.rejects(cim.CimCommitImage({ image }), { hresult: 0x800700aa });
      await cim.CimCloseStream({ stream });
      await assert.rejects(cim.CimCommitImage({ image }), { hresult: 0x80070026 });
      await assert.rejects(cim.CimCloseStream({ stream }), { hresult: 0x80070006 });
    });
  });

  test('refuses what is below nothing, and paths that are none', async () => {
    await withImage({ newFileSystemName: 'paths.cim' }, async (image) => {
      await assert.rejects(addFile(image, 'none\\file', Buffer.alloc(0)), { hresult: 0x80070003 });
      for (const path of ['', '\\file', 'directory\\', 'a/b'])
        await assert.rejects(addFile(image, path, Buffer.alloc(0)), invalidArgument, path);
      await addDirectory(image, 'directory');
      await assert.rejects(cim.CimCreateHardLink({ image, newPath: 'link', oldPath: 'directory' }), {
        hresult: 0x80070005,
      });
    });
  });

  test('mounts an image as a volume, and takes it off once', async () => {
    const volumeId = '6d3f0c7e-2b1a-4e55-8a10-5f1f2a3b4c5d';
    const mount = { imagePath: root, fileSystemName: 'first.cim', flags: 0, volumeId };
    await cim.CimMountImage(mount);
    assert.equal(ledgerOf('cimfs.dll').StandInCountOpenHandles({}), 1);
    await assert.rejects(cim.CimMountImage({ ...mount, flags: 0x8000 }), invalidArgument);
    await assert.rejects(cim.CimMountImage({ ...mount, fileSystemName: 'none.cim' }), {
      hresult: 0x80070002,
    });
    await cim.CimDismountImage({ volumeId });
    await assert.rejects(cim.CimDismountImage({ volumeId }), { hresult: 0x80070490 });
  });

  test('was given back all that it gave', async () => {
    await assertNothingLeakedFrom(ledgerOf('cimfs.dll'));
  });
});

describe('an image that is being written', () => {
  const file = { attributes: 0x20, size: 5n };

  async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
    for (const text of texts) yield Buffer.from(text);
  }

  test('has what was added, once it is committed', async () => {
    await using image = await CimImage.create(root, { name: 'written.cim' });
    await image.addFile('Files\\', { attributes: directory, size: 0n });
    await image.addFile('Files\\a', { ...file, reparseData: Buffer.alloc(7) }, pieces('he', '', 'llo'));
    await image.addAlternateStream('Files\\a:b', 1n, Buffer.from([9]));
    await image.addLink('Files\\c', 'Files\\a');
    await image.addFile('Files\\d', file, Buffer.from('world'));
    await image.remove('Files\\d');
    await image.commit();
    assert.deepEqual(entriesOf('written.cim'), [
      ['Files', '16', '0', '0', '20', '0', '0', '-'],
      ['Files\\a', '32', '5', '532', '20', '7', '0', '-'],
      ['Files\\a:b', '0', '1', '9', '0', '0', '0', '-'],
      ['Files\\c', '32', '5', '532', '0', '0', '0', 'Files\\a'],
    ]);
  });

  test('begins as the one that it is made from, and mounts', async () => {
    await using image = await CimImage.create(root, { from: 'written.cim', name: 'fork.cim' });
    await image.remove('Files\\a');
    await image.commit();
    const volume = await mountCim(join(root, 'fork.cim'), '6D3F0C7E-2B1A-4E55-8A10-5F1F2A3B4C5D');
    assert.equal(volume, '\\\\?\\Volume{6d3f0c7e-2b1a-4e55-8a10-5f1f2a3b4c5d}\\');
    await unmountCim(volume);
    await assert.rejects(unmountCim(volume), (error) => isHcsError(error, 'ERROR_NOT_FOUND'));
    await assert.rejects(unmountCim('C:\\'), (error) => isHcsError(error, 'E_INVALIDARG'));
  });

  test('with too many bytes in a file, or too few, is never written', async () => {
    for (const content of [pieces('hello', '!'), pieces('hell')]) {
      await using image = await CimImage.create(root, { name: 'damaged.cim' });
      await assert.rejects(image.addFile('a', file, content), (error) => {
        assert.ok(isHcsError(error, 'ERROR_INVALID_DATA'));
        assert.match(
          error.message,
          /^Cannot add "a" to image ".*damaged\.cim": cannot use its content: it has /,
        );
        return true;
      });
      await assert.rejects(image.commit(), (error) => isHcsError(error, 'ERROR_INVALID_DATA'));
    }
    assert.equal(existsSync(join(root, 'damaged.cim')), false);
  });

  test('takes no path that leads out of it', async () => {
    await using image = await CimImage.create(root, { name: 'paths.cim' });
    for (const path of ['', '\\a', '..\\a', 'Files\\..\\a', 'a\\\\b', 'a/b', 'a\0b'])
      await assert.rejects(image.addFile(path, file, Buffer.from('hello')), (error) =>
        isHcsError(error, 'E_INVALIDARG'),
      );
  });

  test('leaves no handle behind', async () => {
    await assertNothingLeakedFrom(ledgerOf('cimfs.dll'));
  });
});

describe('bindfltapi.dll', () => {
  const { StandInCountExceptions } = bind({
    file: 'bindfltapi.dll',
    build: 0,
    source: 'stand-in/bindfltapi.c',
    procedures: {
      StandInCountExceptions: {
        returns: 'INT',
        parameters: { root: 'PCWSTR', target: 'PCWSTR' },
        immediate: true,
        purpose: 'Of a mapping, or -1',
      },
    },
  } as const satisfies Dll);

  test('shows a path as another inside a job, but for exceptions', async () => {
    const [virtualizationRootPath, virtualizationTargetPath] = [join(root, 'root'), join(root, 'target')];
    for (const path of [virtualizationRootPath, virtualizationTargetPath]) mkdirSync(path);
    const exceptions = Buffer.alloc(16);
    for (const [index, path] of [virtualizationRootPath, root].entries())
      setPointer(exceptions, 8 * index, wideString(path));
    const { job } = bind(ntdll).NtCreateJobObject({
      desiredAccess: 0x1f003f,
      objectAttributes: objectAttributes(),
    });
    const { BfSetupFilter } = bind(bindfltapi);
    const wanted = {
      job,
      flags: 1,
      virtualizationRootPath,
      virtualizationTargetPath,
      exceptions,
      exceptionCount: 2,
    };
    await BfSetupFilter(wanted);
    const paths = { root: virtualizationRootPath, target: virtualizationTargetPath };
    assert.equal(StandInCountExceptions(paths), 2);
    await BfSetupFilter({ ...wanted, job: null, exceptions: null, exceptionCount: 0 });
    assert.equal(StandInCountExceptions(paths), 0);
    await assert.rejects(BfSetupFilter({ ...wanted, flags: 0x80 }), invalidArgument);
    await assert.rejects(BfSetupFilter({ ...wanted, virtualizationTargetPath: join(root, 'none') }), {
      hresult: 0x80070003,
    });
    bind(kernel32).CloseHandle({ object: job });
    await assert.rejects(BfSetupFilter(wanted), { hresult: 0x80070006 });
  });
});
