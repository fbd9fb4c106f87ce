/** Random trees against a model of them: through the writer, e2fsck and the reader, and through an archive and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryStorage } from './byte-storage.ts';
import { assertClean } from './e2fsck.fixture.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { ext4ToTar } from './ext4-to-tar.ts';
import { Ext4Writer } from './ext4-writer.ts';
import type { FileAttributes, FileStatus } from './layout.ts';
import { tarToExt4 } from './tar-to-ext4.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 40);

/** Any bytes but those that no name has; mostly short, some as long as a name can be. */
const byte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...'abc.-\xc3\xa4 ') },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)) },
);
const name = fc
  .oneof(
    { weight: 3, arbitrary: fc.array(byte, { minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.array(byte, { minLength: 90, maxLength: 255 }) },
  )
  .map((bytes) => bytes.join('').replaceAll('/', '_'))
  .filter((text) => text !== '.' && text !== '..' && text !== 'lost+found');

/** ext4 goes on to 2446, but from 2310 on e2fsck takes a time for one before 1970 that an old kernel wrote. */
const latest = 2 ** 33 + 2 ** 31 - 1;
const time = fc
  .tuple(
    fc.oneof(
      fc.integer({ min: -(2 ** 31), max: latest }),
      fc.constantFrom(-(2 ** 31), -1, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 33, latest),
    ),
    fc.oneof(fc.constant(0), fc.nat(999_999_999)),
  )
  .map(([seconds, nanoseconds]) => ({ seconds, nanoseconds }));

const xattrs = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom('user.', 'trusted.', 'security.'),
      fc.string({ minLength: 1, maxLength: 30 }).map((text) => text.replaceAll(/[^!-~]/g, 'x')),
      fc.oneof(fc.uint8Array({ maxLength: 10 }), fc.uint8Array({ maxLength: 800 })),
    ),
    { maxLength: 4, selector: ([prefix, suffix]) => prefix + suffix },
  )
  // A name with an equals sign is known to GNU tar alone.
  .map(
    (list) => new Map(list.map(([prefix, suffix, value]) => [prefix + suffix.replaceAll('=', '+'), value])),
  );

const id = fc.oneof(fc.nat(2000), fc.integer({ min: 0, max: 0xffffffff }));
const attributes = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: id,
  gid: id,
  modified: time,
  accessed: time,
  changed: time,
  xattrs,
});

/** Content as pieces: positive numbers of bytes, negative of zeros that are skipped. */
const pieces = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: -20_000, max: 9000 }), fc.constant(-4096)),
  { maxLength: 8 },
);

const node = fc.record({
  parent: fc.nat(1000),
  name,
  kind: fc.constantFrom(
    'file',
    'file',
    'file',
    'directory',
    'symlink',
    'character',
    'block',
    'fifo',
    'link' as const,
  ),
  attributes,
  pieces,
  number: fc.nat(4_000_000),
});
type Node = ReturnType<typeof node.generate>['value'];

interface Expected extends FileAttributes {
  type: string;
  links: number;
  content?: Uint8Array;
  target?: string;
  major?: number;
  minor?: number;
}

/** Writes a tree, and says what must be in it. Names that are taken already, and links to nothing, are left out. */
function writeTree(writer: Ext4Writer, nodes: readonly Node[]): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  const directories = [''];
  const others: string[] = [];
  for (const { parent, name, kind, attributes, pieces, number } of nodes) {
    const folder = directories[parent % directories.length]!;
    const path = folder === '' ? name : `${folder}/${name}`;
    if (expected.has(path)) continue;
    const given = { ...attributes, created: attributes.modified };
    if (kind === 'link') {
      const target = others[number % others.length];
      if (target === undefined) continue;
      writer.link(target, path);
      const file = expected.get(target)!;
      file.links++;
      expected.set(path, file);
      continue;
    }
    const file: Expected = { ...given, type: kind, links: kind === 'directory' ? 2 : 1 };
    if (kind === 'directory') {
      directories.push(path);
      if (folder !== '') expected.get(folder)!.links++;
      writer.create(path, { ...given, type: kind });
    } else {
      others.push(path);
      if (kind === 'file') file.content = writeContent(writer, path, given, pieces);
      else if (kind === 'symlink') {
        file.target = 't/'.repeat((number % 2000) + 1);
        writer.create(path, { ...given, type: kind, target: file.target });
      } else if (kind === 'fifo') writer.create(path, { ...given, type: kind });
      else {
        file.major = number % 4096;
        file.minor = number % 2 ** 20;
        writer.create(path, { ...given, type: kind, major: file.major, minor: file.minor });
      }
    }
    expected.set(path, file);
  }
  return expected;
}

function writeContent(writer: Ext4Writer, path: string, given: FileAttributes, pieces: number[]): Uint8Array {
  const content = new Uint8Array(pieces.reduce((sum, piece) => sum + Math.abs(piece), 0));
  writer.create(path, { ...given, type: 'file', size: content.length });
  let at = 0;
  for (const [index, piece] of pieces.entries()) {
    const end = at + Math.abs(piece);
    if (piece > 0) writer.write(content.subarray(at, end).fill(index + 1));
    else writer.skip(-piece);
    at = end;
  }
  return content;
}

function assertTree(storage: MemoryStorage, expected: ReadonlyMap<string, Expected>): void {
  const reader = new Ext4Reader(storage, { pathEncoding: 'latin1' });
  const found = new Map<string, FileStatus>();
  for (const { path, status } of reader.walk())
    if (path !== '' && path !== 'lost+found') found.set(path, status);
  assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort());
  for (const [path, { content, ...wanted }] of expected) {
    const { inode, size, ...status } = found.get(path)!;
    assert.deepEqual(status, wanted, path);
    if (!content) continue;
    assert.equal(size, content.length);
    assert.ok(Buffer.from(reader.readFile(inode)).equals(content), path);
  }
}

const options = fc.record({
  inlineData: fc.boolean(),
  metadataChecksums: fc.boolean(),
  indexDirectories: fc.boolean(),
  groupChecksums: fc.boolean(),
  lostAndFound: fc.boolean(),
});

test('a random tree is clean for e2fsck, reads back as it was given, and survives an archive', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(node, { maxLength: 60, size: 'max' }), options, async (nodes, chosen) => {
      const storage = new MemoryStorage();
      const writer = new Ext4Writer(storage, { ...chosen, pathEncoding: 'latin1' });
      const expected = writeTree(writer, nodes);
      writer.finish();
      assertClean(storage.bytes);
      assertTree(storage, expected);
      const again = new MemoryStorage();
      const reader = new Ext4Reader(storage, { pathEncoding: 'latin1' });
      await tarToExt4(ext4ToTar(reader), again, chosen);
      assertClean(again.bytes);
      assertTree(again, expected);
    }),
    { numRuns },
  );
});
