import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import {
  BackupStreamDecoder,
  type BackupStreamHeader,
  backupStreamIds,
  decodeBackupStreamHeader,
  encodeBackupStreamHeader,
} from './backup-stream.ts';

/** WIN32_STREAM_ID of winbase.h, written by hand: id, attributes, size, length of the name, name; then 4 bytes of data. */
const golden = Buffer.from(
  '04000000' + '02000000' + '0400000000000000' + '10000000' + '3a007a003a00240044004100540041007a6f6e65',
  'hex',
);
const goldenHeader: BackupStreamHeader = {
  id: backupStreamIds.alternateData,
  attributes: 2,
  size: 4n,
  name: ':z:$DATA',
};

const refused = (error: unknown) => isHcsError(error, 'ERROR_INVALID_DATA');

/** Decodes pieces; data that follow each other are put together. */
function decodeAll(pieces: Iterable<Uint8Array>): { header: BackupStreamHeader; data: Buffer }[] {
  const decoder = new BackupStreamDecoder();
  const streams: { header: BackupStreamHeader; data: Buffer }[] = [];
  for (const piece of pieces) {
    for (const part of decoder.decode(piece)) {
      const last = streams.at(-1);
      if (!(part instanceof Uint8Array)) streams.push({ header: part, data: Buffer.alloc(0) });
      else if (last !== undefined) last.data = Buffer.concat([last.data, part]);
    }
  }
  decoder.end();
  return streams;
}

describe('a backup stream', () => {
  test('has the bytes of the C structure', () => {
    assert.deepEqual(Buffer.concat([encodeBackupStreamHeader(goldenHeader), Buffer.from('zone')]), golden);
    assert.deepEqual(decodeBackupStreamHeader(golden), goldenHeader);
    assert.deepEqual(decodeAll([golden]), [{ header: goldenHeader, data: Buffer.from('zone') }]);
  });

  test('is the same in whatever pieces it comes', () => {
    const streams = fc.array(
      fc.record({
        id: fc.integer({ min: 1, max: 11 }),
        attributes: fc.nat(0xff),
        name: fc.string({ maxLength: 20 }),
        data: fc.uint8Array({ maxLength: 100 }),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(streams, fc.integer({ min: 1, max: 50 }), (written, pieceBytes) => {
        const wanted = written.map(({ data, ...header }) => ({
          header: { ...header, size: BigInt(data.length) },
          data: Buffer.from(data),
        }));
        const bytes = Buffer.concat(
          wanted.flatMap(({ header, data }) => [encodeBackupStreamHeader(header), data]),
        );
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += pieceBytes)
          pieces.push(bytes.subarray(at, at + pieceBytes));
        assert.deepEqual(decodeAll(pieces), wanted);
      }),
    );
  });

  test('that is cut off says so', () => {
    for (let end = 1; end < golden.length; end++)
      assert.throws(() => decodeAll([golden.subarray(0, end)]), refused, `${end} bytes`);
    assert.deepEqual(decodeAll([]), []);
  });

  test('has no sizes that make room for what never comes', () => {
    const withNameBytes = (nameBytes: number) => {
      const bytes = Buffer.from(golden);
      bytes.writeUInt32LE(nameBytes, 16);
      return bytes;
    };
    for (const nameBytes of [0xffffffff, 65_536, 3])
      assert.throws(() => decodeAll([withNameBytes(nameBytes)]), refused, `${nameBytes}`);
    const negative = Buffer.from(golden);
    negative.writeBigInt64LE(-1n, 8);
    assert.throws(() => decodeAll([negative]), {
      message: /^Cannot read a backup stream: a stream in it has -1 bytes, /,
    });
    assert.throws(() => encodeBackupStreamHeader({ ...goldenHeader, size: -1n }), refused);
    assert.throws(() => encodeBackupStreamHeader({ ...goldenHeader, name: 'a'.repeat(32_768) }), refused);
  });
});
