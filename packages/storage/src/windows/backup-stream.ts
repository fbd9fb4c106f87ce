import { HcsError } from '@hcsshim/schema';
import { struct } from '@hcsshim/windows';

/*
 * All that a file has, as BackupRead gives and BackupWrite takes it: streams, one after the other, each with a WIN32_STREAM_ID
 * (winbase.h) before its data. Little-endian, nothing aligned:
 *
 *   0  what is in the stream, see below
 *   4  attributes of the stream
 *   8  bytes of its data (64 bits)
 *  16  bytes of its name
 *  20  its name in UTF-16, `:name:$DATA` of an alternate stream, then its data
 */

/** `BACKUP_…`: what is in a stream (winbase.h). */
export const backupStreamIds = {
  data: 1,
  extendedAttributes: 2,
  security: 3,
  alternateData: 4,
  link: 5,
  propertyData: 6,
  objectId: 7,
  reparseData: 8,
  /** A piece of a sparse file's data: its offset in 64 bits, then the piece. */
  sparseBlock: 9,
  transactionData: 10,
} as const;

export interface BackupStreamHeader {
  /** One of {@link backupStreamIds}; newer Windows has more. */
  id: number;
  /** `STREAM_…_ATTRIBUTE` (winnt.h). */
  attributes: number;
  /** Bytes of its data. */
  size: bigint;
  /** Of an alternate stream, `:name:$DATA`; otherwise empty. */
  name: string;
}

const fixedPart = struct({ id: 'DWORD', attributes: 'DWORD', size: 'INT64', nameBytes: 'DWORD' });
/** Without the padding that the C structure has at its end. */
export const fixedHeaderBytes = 20;
/** Of a path as Windows takes it at most, in bytes. */
const maxNameBytes = 2 * 32_767;

export function encodeBackupStreamHeader({ id, attributes, size, name }: BackupStreamHeader): Buffer {
  const text = Buffer.from(name, 'utf16le');
  if (size < 0n || text.length > maxNameBytes) throw damaged('its header has a size that no stream has');
  const fixed = fixedPart.encode({ id, attributes, size, nameBytes: text.length });
  return Buffer.concat([fixed.subarray(0, fixedHeaderBytes), text]);
}

/**
 * Reads the part of a header that is before its name, which is `nameBytes` long. Throws ERROR_INVALID_DATA for sizes that no stream has:
 * nothing may be allocated by them before that.
 */
export function decodeFixedHeader(
  bytes: Uint8Array,
): Omit<BackupStreamHeader, 'name'> & { nameBytes: number } {
  if (bytes.length < fixedHeaderBytes) throw damaged('it ends within a header');
  const padded = Buffer.alloc(fixedPart.size);
  padded.set(bytes.subarray(0, fixedHeaderBytes));
  const { nameBytes, ...header } = fixedPart.decode(padded);
  if (header.size < 0n) throw damaged(`a stream in it has ${header.size} bytes`);
  if (nameBytes > maxNameBytes || nameBytes % 2 !== 0)
    throw damaged(`the name of a stream in it has ${nameBytes} bytes`);
  return { ...header, nameBytes };
}

/** Reads a header with its name. Throws ERROR_INVALID_DATA where they are not there whole. */
export function decodeBackupStreamHeader(bytes: Buffer): BackupStreamHeader {
  const { nameBytes, ...header } = decodeFixedHeader(bytes);
  const end = fixedHeaderBytes + nameBytes;
  if (bytes.length < end) throw damaged('it ends within a header');
  return { ...header, name: bytes.toString('utf16le', fixedHeaderBytes, end) };
}

/** Takes a backup stream apart, in whatever pieces it comes. It keeps a header at most. */
export class BackupStreamDecoder {
  #header = Buffer.alloc(0);
  #dataLeft = 0n;

  /** Gives a header for each stream that begins in `bytes`, and pieces of the data that follow it, which are parts of `bytes`. */
  *decode(bytes: Uint8Array): Generator<BackupStreamHeader | Uint8Array, void> {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#dataLeft > 0n) {
        const length = this.#dataLeft < BigInt(rest.length) ? Number(this.#dataLeft) : rest.length;
        this.#dataLeft -= BigInt(length);
        yield rest.subarray(0, length);
        rest = rest.subarray(length);
        continue;
      }
      const piece = rest.subarray(0, this.#headerBytes() - this.#header.length);
      this.#header = Buffer.concat([this.#header, piece]);
      rest = rest.subarray(piece.length);
      if (this.#header.length < this.#headerBytes()) continue;
      const header = decodeBackupStreamHeader(this.#header);
      this.#header = Buffer.alloc(0);
      this.#dataLeft = header.size;
      yield header;
    }
  }

  /** How long the header is that has begun, as far as it tells yet. */
  #headerBytes(): number {
    if (this.#header.length < fixedHeaderBytes) return fixedHeaderBytes;
    return fixedHeaderBytes + decodeFixedHeader(this.#header).nameBytes;
  }

  /** Call it when the backup stream has ended. Throws ERROR_INVALID_DATA where that is within a header or a stream. */
  end(): void {
    if (this.#header.length > 0) throw damaged('it ends within a header');
    if (this.#dataLeft > 0n) throw damaged(`it ends ${this.#dataLeft} bytes before the end of a stream`);
  }
}

function damaged(problem: string): HcsError {
  return new HcsError({ action: 'Cannot read a backup stream', problem, code: 'ERROR_INVALID_DATA' });
}
