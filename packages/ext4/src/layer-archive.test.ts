/** A layer with all that archives have: what e2fsck, the kernel, debugfs and GNU tar say of the image made of it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemoryStorage } from './byte-storage.ts';
import { assertClean, hasE2fsck, temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { type LayerArchive, type LayerFile, layerArchive } from './layer-archive.fixture.ts';
import { type FileType, fileTypeOf, nanosecondsOf } from './layout.ts';
import { type TarToExt4Options, tarToExt4 } from './tar-to-ext4.ts';

async function convert({ bytes }: LayerArchive, options: TarToExt4Options = {}): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await tarToExt4([bytes], storage, options);
  assertClean(storage.bytes);
  return storage;
}

/** What overlayfs has to find in place of whiteouts and opaque markers. */
function withWhiteouts(files: ReadonlyMap<string, LayerFile>): Map<string, LayerFile> {
  const converted = new Map<string, LayerFile>();
  for (const [path, file] of files) {
    const [directory, name] = [
      path.slice(0, path.lastIndexOf('/') + 1),
      path.slice(path.lastIndexOf('/') + 1),
    ];
    if (name === '.wh..wh..opq') {
      const parent = converted.get(directory.slice(0, -1))!;
      const xattrs = new Map([...parent.xattrs, ['trusted.overlay.opaque', Buffer.from('y')] as const]);
      converted.set(directory.slice(0, -1), { ...parent, xattrs });
    } else if (name.startsWith('.wh.')) {
      converted.set(directory + name.slice(4), {
        ...file,
        type: 'character',
        mode: 0,
        content: new Uint8Array(),
      });
    } else converted.set(path, file);
  }
  return converted;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const hexXattrs = (xattrs: ReadonlyMap<string, Uint8Array>): [string, string][] =>
  [...xattrs].map(([name, value]): [string, string] => [name, hex(value)]).sort();

type Summarized = Omit<LayerFile, 'content' | 'type' | 'xattrs'> & {
  type: FileType;
  size: number;
  xattrs: ReadonlyMap<string, Uint8Array>;
};

/** All that is known of a file in words that can be compared, but its content. */
function summary(file: Summarized): Record<string, unknown> {
  const isDevice = file.type === 'character' || file.type === 'block';
  return {
    type: file.type,
    mode: file.mode,
    owner: `${file.uid}:${file.gid}`,
    times: [file.modified, file.accessed, file.changed].map(nanosecondsOf),
    links: file.links,
    ...(file.type === 'file' ? { size: file.size } : {}),
    ...(file.type === 'symlink' ? { target: file.target } : {}),
    ...(isDevice ? { device: `${file.major}:${file.minor}` } : {}),
    xattrs: hexXattrs(file.xattrs),
  };
}

for (const [kind, options] of [
  ['as it is', {}],
  ['with inline data and checksums', { inlineData: true, metadataChecksums: true }],
  ['with indexes', { indexDirectories: true, readOnly: false }],
  ['with whiteouts converted', { convertWhiteouts: true }],
] as const satisfies [string, TarToExt4Options][]) {
  const archive = layerArchive({ whiteouts: 'convertWhiteouts' in options });
  const files = 'convertWhiteouts' in options ? withWhiteouts(archive.files) : archive.files;

  test(`every member of a layer ${kind} is what the reader finds`, async () => {
    const reader = new Ext4Reader(await convert(archive, options), { pathEncoding: 'latin1' });
    const found = new Map([...reader.walk()].map(({ path, status }) => [path, status]));
    found.delete('lost+found');
    assert.deepEqual([...found.keys()].sort(), [...files.keys()].sort());
    for (const [path, file] of files) {
      const status = found.get(path)!;
      const { target = '', major = 0, minor = 0 } = status;
      const expected = summary({ ...file, size: file.content.length });
      assert.deepEqual(summary({ ...status, target, major, minor }), expected, path);
      if (file.type === 'file')
        assert.ok(Buffer.from(reader.readFile(status.inode)).equals(file.content), path);
    }
  });

  test(`every member of a layer ${kind} is what the kernel finds`, {
    skip: process.getuid?.() !== 0,
  }, async (t) => {
    using directory = temporaryDirectory();
    const image = join(directory.path, 'image');
    writeFileSync(image, (await convert(archive, options)).bytes);
    const mountPoint = join(directory.path, 'mnt');
    mkdirSync(mountPoint);
    if (spawnSync('mount', ['-o', 'ro,loop', image, mountPoint]).status !== 0) {
      t.skip('no image can be mounted here');
      return;
    }
    try {
      compareMounted(mountPoint, files);
      if (!('convertWhiteouts' in options)) assertGnuTarEqual(directory.path, mountPoint, archive);
    } finally {
      assert.equal(spawnSync('umount', [mountPoint]).status, 0);
    }
  });
}

function compareMounted(mountPoint: string, files: ReadonlyMap<string, LayerFile>): void {
  const xattrs = mountedXattrs(mountPoint);
  const inodes = new Map<LayerFile, bigint>();
  for (const [path, file] of files) {
    const host = Buffer.concat([Buffer.from(`${mountPoint}/`), Buffer.from(path, 'latin1')]);
    const stats = lstatSync(host, { bigint: true });
    const { mode, rdev } = { mode: Number(stats.mode), rdev: Number(stats.rdev) };
    const expected = summary({ ...file, size: file.content.length });
    const found = {
      type: fileTypeOf(mode),
      mode: mode & 0o7777,
      owner: `${stats.uid}:${stats.gid}`,
      times: [stats.mtimeNs, stats.atimeNs, stats.ctimeNs],
      links: Number(stats.nlink),
      ...(file.type === 'file' ? { size: Number(stats.size) } : {}),
      ...(file.type === 'symlink'
        ? { target: readlinkSync(host, { encoding: 'buffer' }).toString('latin1') }
        : {}),
      ...('device' in expected
        ? { device: `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}` }
        : {}),
      xattrs: xattrs?.get(path) ?? [],
    };
    if (!xattrs) expected.xattrs = [];
    assert.deepEqual(found, expected, path);
    assert.equal(inodes.get(file) ?? stats.ino, stats.ino, path);
    inodes.set(file, stats.ino);
    if (file.type === 'file') assert.ok(readFileSync(host).equals(file.content), path);
  }
}

/** By path, from what getfattr says of all files at once; undefined without it. */
function mountedXattrs(mountPoint: string): Map<string, [string, string][]> | undefined {
  const { status, stdout } = spawnSync('getfattr', ['-RPhd', '-m', '-', '-e', 'hex', '.'], {
    cwd: mountPoint,
    encoding: 'latin1',
    maxBuffer: 1 << 26,
  });
  if (status !== 0) return undefined;
  const all = new Map<string, [string, string][]>();
  for (const paragraph of stdout.split('\n\n')) {
    const [first = '', ...lines] = paragraph.split('\n');
    const path = withoutEscapes(first.replace(/^# file: (\.\/)?/, ''));
    const xattrs = lines
      .filter((line) => line !== '')
      .map((line): [string, string] => {
        const [, name = '', value = ''] = /^([^=]*)(?:=0x(.*))?$/.exec(line) ?? [];
        return [withoutEscapes(name), value];
      });
    all.set(path, xattrs.sort());
  }
  return all;
}

/** Octal escapes. */
function withoutEscapes(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function assertGnuTarEqual(directory: string, mountPoint: string, { bytes }: LayerArchive): void {
  const archive = join(directory, 'tar');
  writeFileSync(archive, bytes);
  const options = ['--warning=no-timestamp', '--numeric-owner', '-C', mountPoint, '-df', archive];
  const { stdout, stderr } = spawnSync('tar', options, { encoding: 'utf8' });
  assert.equal(stdout + stderr, '');
}

test('debugfs and dumpe2fs agree with the reader', { skip: !hasE2fsck }, async () => {
  using directory = temporaryDirectory();
  const image = join(directory.path, 'image');
  const options = { metadataChecksums: true, label: 'layer', uuid: '01234567-89ab-cdef-0123-456789abcdef' };
  const storage = await convert(layerArchive(), { ...options, size: 64 << 20, inodes: 5000 });
  writeFileSync(image, storage.bytes);
  const reader = new Ext4Reader(storage, { pathEncoding: 'latin1' });
  const { superblock } = reader;
  const said = spawnSync('dumpe2fs', ['-h', image], { encoding: 'utf8' }).stdout;
  for (const [field, value] of [
    ['Filesystem volume name', superblock.label],
    ['Filesystem UUID', options.uuid],
    ['Inode count', superblock.inodes],
    ['Block count', superblock.blocks],
    ['Free blocks', superblock.freeBlocks],
    ['Free inodes', superblock.freeInodes],
    ['Block size', superblock.blockSize],
    ['Inodes per group', superblock.inodesPerGroup],
    ['Inode size', superblock.inodeSize],
  ]) {
    assert.match(said, new RegExp(`^${field}:\\s+${value}$`, 'm'));
  }
  const statuses = [...reader.walk()].map(({ status }) => status);
  const commands = join(directory.path, 'commands');
  writeFileSync(commands, statuses.map(({ inode }) => `stat <${inode}>\n`).join(''));
  const { stdout } = spawnSync('debugfs', ['-f', commands, image], { encoding: 'utf8', maxBuffer: 1 << 26 });
  const texts = stdout.split(/^debugfs: stat /m).slice(1);
  assert.equal(texts.length, statuses.length);
  const words = {
    file: 'regular',
    character: 'character special',
    block: 'block special',
    fifo: 'FIFO',
    socket: 'socket',
  };
  for (const [index, { inode, type, mode, uid, gid, size, links, modified }] of statuses.entries()) {
    const text = texts[index]!.replaceAll(/\s+/g, ' ');
    const word = type === 'directory' || type === 'symlink' ? type : words[type];
    const seconds = (modified.seconds >>> 0).toString(16).padStart(8, '0');
    const epoch = Math.floor((modified.seconds + 2 ** 31) / 2 ** 32);
    const extra = (((modified.nanoseconds << 2) | epoch) >>> 0).toString(16).padStart(8, '0');
    for (const part of [
      `Inode: ${inode} Type: ${word} Mode: 0${mode.toString(8).padStart(3, '0')} `,
      // debugfs takes owners for signed numbers.
      `User: ${uid | 0} Group: ${gid | 0} `,
      ` Size: ${size} `,
      `Links: ${links} `,
      ` mtime: 0x${seconds}:${extra} `,
    ]) {
      assert.ok(text.includes(part), `${part} is not in ${text}`);
    }
  }
});
