import { BackupWriter, type BackupWriting, ByteBuffer } from './backup-file.ts';
import { BackupStreamDecoder, backupStreamIds } from './backup-stream.ts';
import type { FileBasicInfo } from './file-information.ts';
import { encodeAttributes } from './legacy-layer.ts';
import type { OpenFile } from './open-file.ts';

/** Takes the backup stream of the entry that was added last. Owns the file that it writes to. */
export interface EntryWriter extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** The stream has ended. */
  finish(signal: AbortSignal): Promise<void>;
}

/** Writes a file as what its backup stream says it is. */
export async function writeBackup(
  file: OpenFile,
  info: Partial<FileBasicInfo>,
  options: { security: boolean; dll: BackupWriting },
): Promise<EntryWriter> {
  await using owned = new AsyncDisposableStack();
  owned.use(file);
  await file.setBasicInfo(info);
  const writer = owned.use(new BackupWriter(file, options));
  const kept = owned.move();
  return {
    write: (bytes) => writer.write(bytes),
    async finish() {
      await writer.finish();
      await setTimes(file, info);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * Writes a file that keeps the backup stream of another, after its attributes.
 *
 * @param onReparsePoint Called in the end where the stream is that of a reparse point.
 */
export async function writeLegacy(
  file: OpenFile,
  info: FileBasicInfo,
  onReparsePoint: (signal: AbortSignal) => Promise<void>,
): Promise<EntryWriter> {
  let offset = 0n;
  const buffer = new ByteBuffer(async (bytes) => {
    await file.write(bytes, offset);
    offset += BigInt(bytes.length);
  });
  const decoder = new BackupStreamDecoder();
  let isReparsePoint = false;
  await buffer.write(encodeAttributes(info.attributes));
  return {
    async write(bytes) {
      for (const part of decoder.decode(bytes))
        if ('id' in part && part.id === backupStreamIds.reparseData) isReparsePoint = true;
      await buffer.write(bytes);
    },
    async finish(signal) {
      decoder.end();
      await buffer.flush();
      await setTimes(file, info);
      if (isReparsePoint) await onReparsePoint(signal);
    },
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

/** For an entry of which nothing is written. */
export const dropped: EntryWriter = {
  async write() {},
  async finish() {},
  async [Symbol.asyncDispose]() {},
};

/** Once all is written, since writing may have changed them. */
async function setTimes(file: OpenFile, { attributes: _, ...times }: Partial<FileBasicInfo>): Promise<void> {
  await file.setBasicInfo(times);
}
