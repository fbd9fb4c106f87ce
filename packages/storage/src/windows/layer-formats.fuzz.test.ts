import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHcsError } from '@hcsshim/schema';
import fc from 'fast-check';
import { BackupStreamDecoder, encodeBackupStreamHeader } from './backup-stream.ts';
import { decodeDirectoryEntries } from './file-information.ts';
import { decodeTombstones } from './legacy-layer.ts';

/** Set HCSSHIM_FUZZ_RUNS for a long run. */
const numRuns = Number(process.env.HCSSHIM_FUZZ_RUNS ?? 2000);

function attempt(read: () => void): void {
  try {
    read();
  } catch (error) {
    assert.ok(isHcsError(error, 'ERROR_INVALID_DATA'), String(error));
    assert.ok(error.message.length < 500, error.message);
  }
}

/** Bytes that are a backup stream or nearly: one that was written, with some bytes changed, and cut off. */
const nearlyStreams = fc
  .tuple(
    fc.array(fc.record({ id: fc.nat(12), size: fc.nat(40), name: fc.string({ maxLength: 8 }) }), {
      maxLength: 4,
    }),
    fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
    fc.nat(300),
  )
  .map(([streams, changes, end]) => {
    const bytes = Buffer.concat(
      streams.flatMap(({ id, size, name }) => [
        encodeBackupStreamHeader({ id, attributes: 0, size: BigInt(size), name }),
        Buffer.alloc(size),
      ]),
    );
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes.subarray(0, end);
  });

test('whatever a backup stream is, it gives its own bytes once, or an error', () => {
  fc.assert(
    fc.property(
      fc.oneof(nearlyStreams, fc.uint8Array({ maxLength: 200 })),
      fc.integer({ min: 1, max: 64 }),
      (bytes, pieceBytes) => {
        attempt(() => {
          const decoder = new BackupStreamDecoder();
          let given = 0;
          for (let at = 0; at < bytes.length; at += pieceBytes) {
            for (const part of decoder.decode(bytes.subarray(at, at + pieceBytes)))
              given += part instanceof Uint8Array ? part.length : 20 + 2 * part.name.length;
          }
          decoder.end();
          assert.equal(given, bytes.length);
        });
      },
    ),
    { numRuns },
  );
});

test('whatever a list of tombstones is, its paths are below Files, or it is an error', () => {
  const lines = fc.array(fc.oneof(fc.string(), fc.constantFrom('\\a', '\\..', '\\a\\..\\..\\b', '\\a:b')));
  const texts = lines.map((all) => Buffer.from(['\ufeffVersion 1.0', ...all].join('\n')));
  fc.assert(
    fc.property(fc.oneof(texts, fc.uint8Array()), (bytes) => {
      attempt(() => {
        for (const path of decodeTombstones(bytes)) {
          assert.ok(path.startsWith('Files\\'));
          assert.doesNotMatch(path, /[:/\0]|(^|\\)\.\.?(\\|$)/);
        }
      });
    }),
    { numRuns },
  );
});

test('whatever a list of a directory is, it ends, and gives names or an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(400), (bytes, next) => {
      const list = Buffer.from(bytes);
      if (list.length >= 4) list.writeUInt32LE(next, 0);
      attempt(() => {
        for (const { name } of decodeDirectoryEntries(list)) assert.equal(typeof name, 'string');
      });
    }),
    { numRuns },
  );
});
