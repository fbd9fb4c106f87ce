import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

const pieceSize = 1 << 20;
/** So much of the archive counts in full. */
const wholeUpTo = 64 << 20;
/** Behind that, the first bytes of each stride count. */
const stride = 64 << 10;
const sampled = 4 << 10;

/**
 * Names what is made of an archive: the same archive and the same options have the same id. A VHD needs one that
 * others are unlikely to have, not one that nobody could forge: so CRCs do, and of a large archive samples. To hash all of
 * it would cost more than the conversion.
 */
export class ArchiveIdentity {
  readonly #hash = createHash('sha256');
  #crc = 0;
  #length = 0;

  constructor(options: object) {
    this.#hash.update(JSON.stringify(options));
  }

  /** The next bytes of the archive, in pieces of any size. */
  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const within = this.#length % stride;
      const end = Math.min(bytes.length, at + stride - within);
      const counted = this.#length < wholeUpTo ? end : Math.min(end, at + Math.max(0, sampled - within));
      if (counted > at) this.#crc = crc32(bytes.subarray(at, counted), this.#crc);
      this.#length += end - at;
      at = end;
      if (this.#length % pieceSize === 0) this.#endPiece();
    }
  }

  /** 16 bytes: a UUID of version 8 (RFC 9562), which is one's own making. */
  digest(): Uint8Array {
    this.#endPiece();
    const id = this.#hash.update(String(this.#length)).digest().subarray(0, 16);
    id[6] = (id[6]! & 0x0f) | 0x80;
    id[8] = (id[8]! & 0x3f) | 0x80;
    return id;
  }

  #endPiece(): void {
    this.#hash.update(`${this.#crc} `);
    this.#crc = 0;
  }
}
