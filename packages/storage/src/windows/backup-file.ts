import type { BoundDll, kernel32 } from '@hcsshim/windows';
import type { OpenFile } from './open-file.ts';

/** The procedure that reads all that a file has. */
export type BackupReading = Pick<BoundDll<typeof kernel32>, 'BackupRead'>;
/** And the one that writes it. */
export type BackupWriting = Pick<BoundDll<typeof kernel32>, 'BackupWrite'>;

export interface BackupOptions<Calls> {
  /** Owner and rights of the file too. */
  security: boolean;
  dll: Calls;
}

/** Bytes that one call reads or writes. */
const pieceBytes = 64 * 1024;

/** Reads the backup stream of a file or directory, in pieces. The generator must be ended before the file is closed. */
export async function* readBackup(
  file: OpenFile,
  { security, dll }: BackupOptions<BackupReading>,
): AsyncGenerator<Buffer, void> {
  /** Where Windows keeps the address of what it knows about the reading. */
  const context = Buffer.alloc(8);
  const read = (buffer: Buffer | null, abort: boolean) =>
    file.use((handle) =>
      dll.BackupRead({
        file: handle,
        buffer,
        length: buffer?.length ?? 0,
        abort,
        processSecurity: security,
        context,
      }),
    );
  const buffer = Buffer.alloc(pieceBytes);
  try {
    for (;;) {
      const { bytesRead } = await read(buffer, false);
      if (bytesRead === 0) return;
      yield Buffer.from(buffer.subarray(0, bytesRead));
    }
  } finally {
    if (isKept(context)) await read(null, true);
  }
}

/** Takes bytes in pieces of any size, and hands them on in larger ones. */
export class ByteBuffer {
  readonly #handOn: (bytes: Buffer) => Promise<void>;
  readonly #bytes = Buffer.alloc(pieceBytes);
  #filled = 0;

  constructor(handOn: (bytes: Buffer) => Promise<void>) {
    this.#handOn = handOn;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const piece = rest.subarray(0, pieceBytes - this.#filled);
      this.#bytes.set(piece, this.#filled);
      this.#filled += piece.length;
      rest = rest.subarray(piece.length);
      if (this.#filled === pieceBytes) await this.flush();
    }
  }

  async flush(): Promise<void> {
    const bytes = this.#bytes.subarray(0, this.#filled);
    this.#filled = 0;
    if (bytes.length > 0) await this.#handOn(bytes);
  }
}

/** Writes the backup stream of a file or directory that is open for it. Must be disposed of before the file is closed. */
export class BackupWriter implements AsyncDisposable {
  readonly #file: OpenFile;
  readonly #options: BackupOptions<BackupWriting>;
  readonly #context = Buffer.alloc(8);
  readonly #buffer = new ByteBuffer((bytes) => this.#writeAll(bytes));

  constructor(file: OpenFile, options: BackupOptions<BackupWriting>) {
    this.#file = file;
    this.#options = options;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#buffer.write(bytes);
  }

  /** Writes what is left. */
  finish(): Promise<void> {
    return this.#buffer.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (isKept(this.#context)) await this.#write(null, true);
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#write(bytes.subarray(written), false);
      if (bytesWritten === 0) throw new Error('BackupWrite took none of the bytes that it was given');
      written += bytesWritten;
    }
  }

  #write(buffer: Buffer | null, abort: boolean) {
    const { security, dll } = this.#options;
    return this.#file.use((handle) =>
      dll.BackupWrite({
        file: handle,
        buffer,
        length: buffer?.length ?? 0,
        abort,
        processSecurity: security,
        context: this.#context,
      }),
    );
  }
}

/** Whether Windows keeps anything that a last call must free. */
function isKept(context: Buffer): boolean {
  return context.readBigUInt64LE() !== 0n;
}
