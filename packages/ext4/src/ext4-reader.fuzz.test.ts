import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryStorage } from './byte-storage.ts';
import { hasE2fsck } from './e2fsck.fixture.ts';
import { Ext4Error, type Ext4ErrorCode } from './ext4-error.ts';
import { Ext4Reader } from './ext4-reader.ts';
import { ext4ToTar } from './ext4-to-tar.ts';
import { Ext4Writer } from './ext4-writer.ts';
import {
  CountedInput,
  type FuzzImage,
  mke2fsImage,
  mutated,
  mutations,
  ownImage,
} from './mutated-image.fixture.ts';
import { readSuperblock } from './superblock.ts';
import { readVerity, verifyVerityTree, writeVerityTree } from './verity.ts';
import { appendVhdFooter, readVhdFooter } from './vhd.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 1500);

const refusals: readonly Ext4ErrorCode[] = ['CORRUPT', 'UNSUPPORTED', 'LIMIT_EXCEEDED'];
/** A run takes a millisecond; the rest is for a machine that has other things to do. */
const longestRun = 5000;
/** Of the whole process, whose collector takes its time. */
const mostMemory = 1 << 30;

function refusesOrEnds(work: () => void, codes: readonly Ext4ErrorCode[]): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (!(error instanceof Ext4Error && codes.includes(error.code))) throw error;
    assert.match(error.message, /^Cannot /);
    return true;
  }
}

/** Reads all that is in an image, in every way that there is. */
function readAll(input: CountedInput): void {
  readSuperblock(input);
  const reader = new Ext4Reader(input, { entries: 1000, pathEncoding: 'latin1' });
  let last = '';
  for (const { path } of reader.walk()) last = path;
  reader.stat(last);
  for (const _ of ext4ToTar(reader));
}

const images: Record<string, { make: () => FuzzImage; skip?: boolean }> = {
  'of ours': { make: () => ownImage({ inlineData: true }) },
  'of ours with checksums and indexes': {
    make: () => ownImage({ inlineData: true, metadataChecksums: true, indexDirectories: true }),
  },
  'of mke2fs': {
    make: () => mke2fsImage('-t', 'ext4', '-O', '^has_journal,^metadata_csum,inline_data'),
    skip: !hasE2fsck,
  },
  'of mke2fs with checksums': {
    make: () => mke2fsImage('-t', 'ext4', '-O', '^has_journal'),
    skip: !hasE2fsck,
  },
  'of mke2fs as ext2': { make: () => mke2fsImage('-t', 'ext2', '-I', '128'), skip: !hasE2fsck },
};

for (const [kind, { make, skip = false }] of Object.entries(images)) {
  test(`an image ${kind} with damaged bytes is read or refused, with bounded work`, { skip }, () => {
    const image = make();
    readAll(new CountedInput(image.bytes, Number.POSITIVE_INFINITY));
    let refused = 0;
    fc.assert(
      fc.property(mutations, (changes) => {
        const start = performance.now();
        mutated(image, changes, () => {
          const input = new CountedInput(image.bytes, 100 * image.bytes.length);
          if (refusesOrEnds(() => readAll(input), refusals)) refused++;
        });
        assert.ok(performance.now() - start < longestRun, 'it took too long');
      }),
      { numRuns },
    );
    assert.ok(refused > numRuns / 20 && refused < numRuns);
    assert.ok(process.memoryUsage().rss < mostMemory);
  });
}

test('a hash device and a footer with damaged bytes are read or refused', async () => {
  const blocks = 300;
  const disk = new MemoryStorage(new Uint8Array(blocks * 4096).fill(7));
  const data = blocks * 4096;
  const { rootHash } = await writeVerityTree(disk, data, disk, data);
  appendVhdFooter(disk, { size: disk.size, id: new Uint8Array(16) });
  const bytes = disk.bytes;
  const places = [
    { start: data, length: 256 },
    { start: data + 256, length: 256 },
    { start: bytes.length - 512, length: 256 },
  ];
  await fc.assert(
    fc.asyncProperty(mutations, async (changes) => {
      const copy = { bytes: Uint8Array.from(bytes), places };
      const input = new MemoryStorage(copy.bytes);
      mutated(copy, changes, () => {
        refusesOrEnds(() => readVhdFooter(input), ['INVALID_VHD']);
        refusesOrEnds(() => readVerity(input, data), ['INVALID_VERITY']);
        copy.bytes = Uint8Array.from(copy.bytes);
      });
      const damaged = new MemoryStorage(copy.bytes);
      try {
        await verifyVerityTree(damaged, damaged, data, rootHash);
      } catch (error) {
        assert.ok(error instanceof Ext4Error && error.code === 'INVALID_VERITY', String(error));
      }
    }),
    { numRuns: Math.ceil(numRuns / 50) },
  );
});

test('a file whose block of pointers leads into itself is refused at once', () => {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage);
  writer.create('f', { type: 'file', size: 4096 });
  writer.write(new Uint8Array(4096));
  writer.finish();
  const disk = new DataView(storage.bytes.buffer, storage.bytes.byteOffset, storage.size);
  const inode = new Ext4Reader(storage).stat('f')!.inode;
  const at = disk.getUint32(4096 + 8, true) * 4096 + (inode - 1) * 256;
  const block = disk.getUint32(at + 40 + 20, true);
  for (const [content, message] of [
    [block, /inode 12: field "i_block": it has more blocks than the disk's \d+$/],
    [0, undefined],
  ] as const) {
    // Without the flag of extents: sizes of 2^41 bytes, and all at three removes.
    disk.setUint32(at + 32, 0, true);
    disk.setUint32(at + 108, 2 ** 9, true);
    for (let index = 0; index < 15; index++)
      disk.setUint32(at + 40 + index * 4, index === 14 ? block : 0, true);
    for (let index = 0; index < 1024; index++) disk.setUint32(block * 4096 + index * 4, content, true);
    const read = (): void => {
      for (const _ of new Ext4Reader(storage).content('f'));
    };
    if (message) assert.throws(read, message);
    else read();
  }
});

test('attributes that share their values are refused', () => {
  const storage = new MemoryStorage();
  const writer = new Ext4Writer(storage);
  const xattrs = new Map(['a', 'b'].map((name) => [`user.${name}`, new Uint8Array(1500)]));
  writer.create('f', { type: 'fifo', xattrs });
  writer.finish();
  const bytes = Buffer.from(storage.bytes.buffer, 0, storage.size);
  const block = bytes.indexOf(Buffer.from('000002ea0100000001000000', 'hex'));
  // Both values from 1096 to the end.
  for (const entry of [block + 32, block + 32 + 20]) {
    bytes.writeUInt16LE(1096, entry + 2);
    bytes.writeUInt32LE(3000, entry + 8);
  }
  assert.throws(
    () => new Ext4Reader(storage).stat('f'),
    /field "e_value_size": entry at 52 has more bytes than are left/,
  );
});
