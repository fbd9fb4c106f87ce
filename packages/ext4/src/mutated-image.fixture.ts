import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { MemoryStorage, type SeekableInput } from './byte-storage.ts';
import { temporaryDirectory } from './e2fsck.fixture.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { Ext4Writer, type Ext4WriterOptions } from './ext4-writer.ts';

/** An image to damage, and where its metadata is: places of few bytes each, so that all are hit alike. */
export interface FuzzImage {
  bytes: Uint8Array;
  places: readonly { start: number; length: number }[];
}

const placeSize = 256;

/** Counts what is read, and stops a reader that reads more than any image of this size gives reason to. */
export class CountedInput implements SeekableInput {
  readonly #bytes: Uint8Array;
  readonly #limit: number;
  readonly seen = new Set<number>();
  read = (into: Uint8Array, offset: number): void => {
    assert.ok(offset >= 0 && offset + into.length <= this.#bytes.length, 'read past the end');
    this.count += into.length;
    assert.ok(this.count <= this.#limit, `more than ${this.#limit} bytes were read`);
    into.set(this.#bytes.subarray(offset, offset + into.length));
    for (let at = offset; at < offset + into.length; at += placeSize) this.seen.add(at - (at % placeSize));
  };
  count = 0;

  constructor(bytes: Uint8Array, limit: number) {
    this.#bytes = bytes;
    this.#limit = limit;
  }

  get size(): number {
    return this.#bytes.length;
  }
}

/** Metadata is what a walk reads; a place that is all zeros counts for little. */
function withPlaces(bytes: Uint8Array): FuzzImage {
  const input = new CountedInput(bytes, 1 << 30);
  for (const { status } of new Ext4Reader(input).walk()) {
    if (status.type === 'file') for (const _ of new Ext4Reader(input).dataRanges(status.inode));
  }
  const places = [...input.seen]
    .sort((one, other) => one - other)
    .filter((start) => bytes.subarray(start, start + placeSize).some((byte) => byte !== 0))
    .map((start) => ({ start, length: Math.min(placeSize, bytes.length - start) }));
  return { bytes, places };
}

/** All that the writer can write, in little space. */
export function ownImage(options: Ext4WriterOptions): FuzzImage {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage, { maximumDiskSize: 1 << 27, ...options });
  const file = (path: string, size: number, xattrs: Map<string, Uint8Array> = new Map()): void => {
    writer.create(path, { type: 'file', size, xattrs });
    writer.write(new Uint8Array(size).fill(65));
  };
  const acl = Buffer.from('0200000001000700ffffffff02000600e803000004000500ffffffff', 'hex');
  file('inline', 100);
  file('small', 20, new Map([['user.a', new Uint8Array(30)]]));
  file(
    'block-of-attributes',
    5000,
    new Map([
      ['system.posix_acl_access', acl],
      ['user.b', new Uint8Array(900)],
    ]),
  );
  writer.create('spread', { type: 'file', size: 16 * 8192 });
  for (let index = 0; index < 8; index++) {
    writer.write(new Uint8Array(4096).fill(index));
    writer.skip(12_288);
  }
  writer.create('short', { type: 'symlink', target: 'small' });
  writer.create('long', { type: 'symlink', target: 'x'.repeat(100) });
  writer.create('device', { type: 'block', major: 300, minor: 300 });
  writer.create('pipe', { type: 'fifo' });
  writer.create('d', { type: 'directory' });
  writer.create('d/e', { type: 'directory' });
  writer.link('small', 'd/e/hard');
  // With indexes, enough for one.
  const entries = options.indexDirectories ? 45 : 24;
  for (let index = 0; index < entries; index++)
    writer.create(`d/${String(index).repeat(100)}`, { type: 'fifo' });
  writer.finish();
  return withPlaces(Uint8Array.from(storage.bytes));
}

/** What mke2fs makes, with blocks of 1 KiB so that all of its structures are in little space. */
export function mke2fsImage(...options: string[]): FuzzImage {
  using directory = temporaryDirectory();
  const source = join(directory.path, 'source');
  mkdirSync(join(source, 'd/e'), { recursive: true });
  writeFileSync(join(source, 'inline'), 'x'.repeat(90));
  writeFileSync(join(source, 'blocks'), Buffer.alloc(14_000, 65));
  const spread = openSync(join(source, 'spread'), 'w');
  for (const at of [0, 20_000, 100_000, 290_000, 291_000, 400_000]) writeSync(spread, String(at), at);
  closeSync(spread);
  linkSync(join(source, 'inline'), join(source, 'd/hard'));
  symlinkSync('x'.repeat(100), join(source, 'long'));
  symlinkSync('inline', join(source, 'short'));
  for (let index = 0; index < 14; index++) writeFileSync(join(source, 'd/e', String(index).repeat(100)), '');
  chmodSync(join(source, 'd'), 0o1777);
  const image = join(directory.path, 'image');
  const made = spawnSync(
    'mke2fs',
    ['-q', '-F', '-b', '1024', '-N', '40', '-m', '0', ...options, '-d', source, image, '256K'],
    { encoding: 'utf8' },
  );
  assert.equal(made.status, 0, made.stderr);
  // Gives the larger directory an index.
  spawnSync('e2fsck', ['-fyD', image]);
  return withPlaces(Uint8Array.from(readFileSync(image)));
}

const value = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 2, 4, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0xffffffff) },
  { weight: 1, arbitrary: fc.nat(300) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffffffff }) },
);
const mutation = fc.record({
  place: fc.nat(9999),
  within: fc.nat(placeSize - 1),
  width: fc.constantFrom(1, 1, 2, 4),
  value,
  anywhere: fc.nat(9),
});

/** One to eight bytes or words to change, nine in ten of them in the metadata. */
export const mutations = fc.array(mutation, { minLength: 1, maxLength: 8 });
type Mutations = ReturnType<typeof mutations.generate>['value'];

/** Changes the image while `use` runs. */
export function mutated({ bytes, places }: FuzzImage, changes: Mutations, use: () => void): void {
  const before = changes.map(({ place, within, width, value, anywhere }) => {
    const { start, length } = places[place % places.length]!;
    const wanted = anywhere === 0 ? (place * placeSize + within) % bytes.length : start + (within % length);
    const at = Math.min(wanted - (wanted % width), bytes.length - width);
    const old = bytes.slice(at, at + width);
    for (let index = 0; index < width; index++) bytes[at + index] = value >>> (8 * index);
    return { at, old };
  });
  try {
    use();
  } finally {
    for (const { at, old } of before.reverse()) bytes.set(old, at);
  }
}
