import { Ext4Error } from './ext4-error.ts';
import { type FileTime, nanosecondsOf, timeFromNanoseconds } from './layout.ts';
import { quoted } from './path-name.ts';

/*
 * A header of a tar archive (POSIX ustar, and GNU's where it differs), one block of 512 bytes:
 *
 *   0      100    108    116    124    136    148        156    157      257     265   297   329   337   345    500
 *   +------+------+------+------+------+------+----------+------+--------+-------+-----+-----+-----+-----+------+---+
 *   | name | mode | uid  | gid  | size | time | checksum | type | target | magic | …   | …   | maj | min | prefix   |
 *   +------+------+------+------+------+------+----------+------+--------+-------+-----+-----+-----+-----+------+---+
 *
 *   GNU's sparse files (type S) have in place of the prefix, from 386 on, four pairs of offset and length of 12 bytes
 *   each, at 482 whether blocks with 21 more pairs each follow (the same flag is at 504 of these), at 483 the real size.
 *
 * Content follows, filled up to a whole block. Records of type x and g (PAX), L and K (GNU) hold what does not fit
 * for the entry after them. Two blocks of zeros end the archive.
 */

const blockLength = 512;
/** Largest record of names and attributes that is taken, in bytes. */
const longestRecord = 1 << 20;
const mostSparseParts = 1 << 20;

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/**
 * An entry. `path`, `target` and the attributes' names are byte strings: each character is one byte of the name
 * in the archive, which need not be UTF-8.
 */
export interface TarEntry {
  path: string;
  type: TarEntryType;
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content, holes included. */
  size: number;
  modified: FileTime;
  /** The archive may know them. */
  accessed?: FileTime;
  changed?: FileTime;
  /** Where a link points to; empty for all others. */
  target: string;
  major: number;
  minor: number;
  xattrs: ReadonlyMap<string, Uint8Array>;
  /** Where in the archive the entry's header begins. */
  offset: number;
  /** Where what is stored of its content begins; of a sparse file that is its list of parts. */
  contentOffset: number;
}

/** What takes the parts of an archive, in their order. */
export interface TarConsumer {
  entry(entry: TarEntry): void;
  /** A piece of the entry's content; the bytes are valid until it returns. */
  data(bytes: Uint8Array): void;
  /** A hole in the content. */
  hole(bytes: number): void;
}

interface SparsePart {
  offset: number;
  length: number;
}

const types: Readonly<Record<string, TarEntryType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
  S: 'file',
};

const recordTypes = new Set(['x', 'g', 'L', 'K']);
const sparsePartKeys = new Set(['GNU.sparse.offset', 'GNU.sparse.numbytes']);
const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();
const attributePrefix = 'SCHILY.xattr.';

/** What the next bytes are. */
type State =
  | { is: 'header' }
  | { is: 'record'; type: string; bytes: Uint8Array; filled: number }
  | { is: 'sparse map'; entry: TarEntry; stored: number; realSize: number; parts: SparsePart[] }
  | { is: 'sparse text'; entry: TarEntry; stored: number; text: string; used: number; realSize: number }
  | { is: 'content'; left: number; padding: number; parts: SparsePart[]; position: number; size: number }
  | { is: 'skip'; left: number }
  | { is: 'end' };

/**
 * Takes an archive in pieces of any size and calls a consumer for what is in it, without a promise or a copy for each
 * entry. Throws INVALID_ARCHIVE with the member's name and its offset.
 */
export class TarDecoder {
  readonly #consumer: TarConsumer;
  readonly #block = Buffer.alloc(blockLength);
  #filled = 0;
  /** Bytes of the archive before the piece at hand. */
  #offset = 0;
  #state: State = { is: 'header' };
  #zeroBlocks = 0;
  #member = '';
  #headerOffset = 0;
  #pax = new Map<string, Uint8Array>();
  readonly #global = new Map<string, Uint8Array>();
  #sparseNumbers: string[] = [];
  #longPath: string | undefined;
  #longTarget: string | undefined;

  constructor(consumer: TarConsumer) {
    this.#consumer = consumer;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const state = this.#state;
      switch (state.is) {
        case 'content': {
          const part = chunk.subarray(at, at + state.left);
          if (part.length > 0) this.#content(state, part);
          at += part.length;
          if (state.left === 0) this.#endContent(state);
          break;
        }
        case 'skip': {
          const count = Math.min(state.left, chunk.length - at);
          state.left -= count;
          at += count;
          if (state.left === 0) this.#state = { is: 'header' };
          break;
        }
        case 'record': {
          const part = chunk.subarray(at, at + state.bytes.length - state.filled);
          state.bytes.set(part, state.filled);
          state.filled += part.length;
          at += part.length;
          if (state.filled === state.bytes.length) this.#record(state.type, state.bytes);
          break;
        }
        case 'end':
          at = chunk.length;
          break;
        default:
          // A whole block; without a copy when it is in this piece.
          if (this.#filled === 0 && chunk.length - at >= blockLength) {
            const block = Buffer.from(chunk.buffer, chunk.byteOffset + at, blockLength);
            this.#takeBlock(block, this.#offset + at);
            at += blockLength;
          } else {
            const part = chunk.subarray(at, at + blockLength - this.#filled);
            this.#block.set(part, this.#filled);
            this.#filled += part.length;
            at += part.length;
            if (this.#filled < blockLength) break;
            this.#filled = 0;
            this.#takeBlock(this.#block, this.#offset + at - blockLength);
          }
      }
    }
    this.#offset += chunk.length;
  }

  /**
   * Bytes that come next and that nobody needs, when the consumer does without the content at hand: who can may
   * leave them out and say so by `skip`.
   */
  get skippable(): number {
    const state = this.#state;
    if (state.is === 'content') return state.left + state.padding;
    return state.is === 'skip' ? state.left : 0;
  }

  /** Goes on as if all that is skippable had been pushed, but tells the consumer nothing of it. */
  skip(): void {
    this.#offset += this.skippable;
    this.#state = { is: 'header' };
  }

  /** Says that the archive is over. Throws when that is in the middle of an entry. */
  end(): void {
    const { is } = this.#state;
    const between = (is === 'header' && this.#filled === 0) || is === 'end';
    if (!between) throw this.#damaged(`the archive ends at byte ${this.#offset}, in the middle of an entry`);
  }

  #takeBlock(block: Buffer, offset: number): void {
    const state = this.#state;
    if (state.is === 'sparse map') this.#sparseBlock(state, block, 0, 21, 504);
    else if (state.is === 'sparse text') this.#sparseText(state, block);
    else this.#header(block, offset);
  }

  #header(block: Buffer, offset: number): void {
    this.#headerOffset = offset;
    if (block[0] === 0 && isZero(block)) {
      if (++this.#zeroBlocks === 2) this.#state = { is: 'end' };
      return;
    }
    this.#zeroBlocks = 0;
    const name = untilNul(block, 0, 100);
    this.#member = this.#longPath ?? name;
    if (checksumOf(block) !== this.#number(block, 148, 8))
      throw this.#damaged('its header has a wrong checksum');
    const type = String.fromCharCode(block[156]!);
    const size = this.#number(block, 124, 12);
    if (size < 0) throw this.#damaged(`it has ${size} bytes`);
    if (recordTypes.has(type)) {
      if (size > longestRecord) {
        throw this.#damaged(`a record of names has ${size} bytes, allowed are ${longestRecord}`);
      }
      this.#state = { is: 'record', type, bytes: new Uint8Array(padded(size)), filled: 0 };
      this.#recordSize = size;
      if (size === 0) this.#record(type, this.#state.bytes);
      return;
    }
    this.#entry(block, name, type, size, offset);
  }

  #recordSize = 0;

  #record(type: string, padded: Uint8Array): void {
    const record = Buffer.from(padded.buffer, padded.byteOffset, this.#recordSize);
    this.#state = { is: 'header' };
    if (type === 'x') this.#readPax(record, this.#pax);
    else if (type === 'g') this.#readPax(record, this.#global);
    else if (type === 'L') this.#longPath = untilNul(record, 0, record.length);
    else this.#longTarget = untilNul(record, 0, record.length);
  }

  #entry(block: Buffer, name: string, typeflag: string, headerSize: number, offset: number): void {
    const plain = this.#pax.size === 0 && this.#global.size === 0;
    // GNU's headers have other fields where ustar has the prefix; ustar alone has a NUL after its magic.
    const ustar = block.toString('latin1', 257, 263) === 'ustar\0';
    const prefix = ustar ? untilNul(block, 345, 500) : '';
    const shortPath = prefix === '' ? name : `${prefix}/${name}`;
    const path = this.#paxText('GNU.sparse.name') ?? this.#paxText('path') ?? this.#longPath ?? shortPath;
    this.#member = path;
    // Before POSIX a directory was a file with a slash at its end.
    const oldDirectory = (typeflag === '\0' || typeflag === '0') && path.endsWith('/');
    const type = oldDirectory ? 'directory' : types[typeflag];
    if (type === undefined) throw this.#damaged(`it is of type "${typeflag}", which is not known`);
    const stored = type === 'file' ? (plain ? headerSize : this.#paxNumber('size', headerSize)) : 0;
    const entry: TarEntry = {
      path,
      type,
      mode: this.#number(block, 100, 8) & 0o7777,
      uid: plain ? this.#number(block, 108, 8) : this.#paxNumber('uid', this.#number(block, 108, 8)),
      gid: plain ? this.#number(block, 116, 8) : this.#paxNumber('gid', this.#number(block, 116, 8)),
      size: stored,
      modified: this.#paxTime('mtime') ?? { seconds: this.#number(block, 136, 12), nanoseconds: 0 },
      target: type === 'hardlink' || type === 'symlink' ? this.#target(block) : '',
      major: type === 'character' || type === 'block' ? this.#number(block, 329, 8) : 0,
      minor: type === 'character' || type === 'block' ? this.#number(block, 337, 8) : 0,
      xattrs: plain ? noXattrs : this.#xattrs(),
      offset,
      contentOffset: offset + blockLength,
    };
    const accessed = this.#paxTime('atime');
    const changed = this.#paxTime('ctime');
    if (accessed) entry.accessed = accessed;
    if (changed) entry.changed = changed;
    const sparseVersion = this.#paxText('GNU.sparse.major');
    const oldParts = this.#paxText('GNU.sparse.map')?.split(',') ?? this.#sparseNumbers;
    const realSize = this.#paxNumber('GNU.sparse.realsize', this.#paxNumber('GNU.sparse.size', stored));
    if (!plain) {
      this.#pax = new Map();
      this.#sparseNumbers = [];
    }
    this.#longPath = this.#longTarget = undefined;
    if (typeflag === 'S') {
      const state: State = {
        is: 'sparse map',
        entry,
        stored,
        realSize: this.#number(block, 483, 12),
        parts: [],
      };
      this.#state = state;
      this.#sparseBlock(state, block, 386, 4, 482);
    } else if (sparseVersion === '1') {
      this.#state = { is: 'sparse text', entry, stored, text: '', used: 0, realSize };
    } else if (oldParts.length > 0) {
      this.#begin(entry, stored, realSize, this.#pairs(oldParts));
    } else if (type === 'file') {
      this.#begin(entry, stored, stored, undefined);
    } else {
      this.#consumer.entry(entry);
      // Some archivers say a size here, and none of them adds content.
      this.#state = { is: 'header' };
    }
  }

  #target(block: Buffer): string {
    return this.#paxText('linkpath') ?? this.#longTarget ?? untilNul(block, 157, 257);
  }

  /** Pairs of GNU's oldest form of sparse files. */
  #sparseBlock(
    state: State & { is: 'sparse map' },
    block: Buffer,
    start: number,
    count: number,
    flag: number,
  ): void {
    for (let index = 0; index < count; index++) {
      const at = start + index * 24;
      if (block[at] === 0) break;
      state.parts.push({ offset: this.#number(block, at, 12), length: this.#number(block, at + 12, 12) });
    }
    if (state.parts.length > mostSparseParts)
      throw this.#damaged(`it has more than ${mostSparseParts} parts`);
    if (block[flag] === 0) this.#begin(state.entry, state.stored, state.realSize, state.parts);
  }

  /** The newest form: decimal numbers, a line each, before the content; first how many pairs there are. */
  #sparseText(state: State & { is: 'sparse text' }, block: Buffer): void {
    state.text += block.toString('latin1');
    state.used += blockLength;
    if (state.text.length > longestRecord || state.used > padded(state.stored)) {
      throw this.#damaged('the list of its parts is too long');
    }
    const lines = state.text.split('\n');
    const count = Number(lines[0]);
    if (lines.length - 1 < 1 || !(lines.length - 1 >= 1 + 2 * count)) {
      if (lines.length > 1 && !Number.isInteger(count))
        throw this.#damaged('the list of its parts is malformed');
      return;
    }
    const parts = this.#pairs(lines.slice(1, 1 + 2 * count));
    this.#begin(state.entry, state.stored - state.used, state.realSize, parts);
  }

  #pairs(numbers: readonly string[]): SparsePart[] {
    const parts: SparsePart[] = [];
    for (let index = 0; index + 1 < numbers.length; index += 2) {
      parts.push({
        offset: Number(numbers[index] || Number.NaN),
        length: Number(numbers[index + 1] || Number.NaN),
      });
    }
    return parts;
  }

  /** `parts` are those of a sparse file, whose content is these alone, one after the other. */
  #begin(entry: TarEntry, stored: number, size: number, parts: SparsePart[] | undefined): void {
    if (parts) this.#checkParts(parts, stored, size);
    entry.size = size;
    this.#consumer.entry(entry);
    const state: State = {
      is: 'content',
      left: stored,
      padding: padded(stored) - stored,
      parts: parts ?? [{ offset: 0, length: stored }],
      position: 0,
      size,
    };
    this.#state = state;
    if (stored === 0) this.#endContent(state);
  }

  #checkParts(parts: readonly SparsePart[], stored: number, size: number): void {
    let end = 0;
    let total = 0;
    for (const { offset, length } of parts) {
      const valid =
        Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0 && offset >= end;
      if (!valid) throw this.#damaged('the list of its parts is malformed');
      end = offset + length;
      total += length;
    }
    if (end > size || total !== stored) throw this.#damaged('its parts do not make up its size');
  }

  #content(state: State & { is: 'content' }, bytes: Uint8Array): void {
    state.left -= bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const part = state.parts[0]!;
      this.#hole(state, part.offset);
      const piece = at === 0 && bytes.length <= part.length ? bytes : bytes.subarray(at, at + part.length);
      if (piece.length > 0) this.#consumer.data(piece);
      at += piece.length;
      state.position += piece.length;
      part.offset += piece.length;
      part.length -= piece.length;
      if (part.length === 0) state.parts.shift();
    }
  }

  #hole(state: State & { is: 'content' }, until: number): void {
    if (until > state.position) this.#consumer.hole(until - state.position);
    state.position = Math.max(state.position, until);
  }

  #endContent(state: State & { is: 'content' }): void {
    this.#hole(state, state.size);
    this.#state = state.padding > 0 ? { is: 'skip', left: state.padding } : { is: 'header' };
  }

  /** Octal digits, or with the top bit set a binary number (GNU). */
  #number(block: Buffer, start: number, length: number): number {
    const first = block[start]!;
    if (first & 0x80) return this.#binaryNumber(block, start, length);
    let value = 0;
    let at = start;
    const end = start + length;
    while (at < end && block[at] === 0x20) at++;
    for (; at < end; at++) {
      const byte = block[at]!;
      if (byte === 0 || byte === 0x20) break;
      if (byte < 0x30 || byte > 0x37)
        throw this.#damaged(`a number in its header, at ${start}, is not octal`);
      value = value * 8 + (byte - 0x30);
    }
    return value;
  }

  #binaryNumber(block: Buffer, start: number, length: number): number {
    let value = BigInt(block[start]! & 0x7f);
    for (let at = start + 1; at < start + length; at++) value = (value << 8n) | BigInt(block[at]!);
    const signed = Number(BigInt.asIntN(length * 8 - 1, value));
    if (!Number.isSafeInteger(signed))
      throw this.#damaged(`a number in its header, at ${start}, is too large`);
    return signed;
  }

  /** Lines of the form `<length> <key>=<value>\n`, where the length counts all of the line. */
  #readPax(record: Buffer, into: Map<string, Uint8Array>): void {
    for (let at = 0; at < record.length; ) {
      const space = record.indexOf(0x20, at);
      const digits = record.toString('latin1', at, Math.max(at, Math.min(space, at + 9)));
      const end = at + Number(digits);
      const equals = record.indexOf(0x3d, space);
      if (
        !/^\d{1,8}$/.test(digits) ||
        end > record.length ||
        equals < space ||
        equals >= end ||
        record[end - 1] !== 0x0a
      ) {
        throw this.#damaged('its extended header is malformed');
      }
      const key = record.toString('latin1', space + 1, equals);
      const value = new Uint8Array(record.subarray(equals + 1, end - 1));
      // The oldest form of sparse files repeats these two for each part.
      if (sparsePartKeys.has(key)) this.#sparseNumbers.push(Buffer.from(value).toString('latin1'));
      into.set(key, value);
      at = end;
    }
  }

  #paxText(key: string): string | undefined {
    const value = this.#pax.get(key) ?? this.#global.get(key);
    return value && Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  }

  #paxNumber(key: string, otherwise: number): number {
    const text = this.#paxText(key);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
      throw this.#damaged(`its ${key} is ${JSON.stringify(text)}`);
    return value;
  }

  #paxTime(key: string): FileTime | undefined {
    const text = this.#paxText(key);
    if (text === undefined) return undefined;
    const parts = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(text);
    if (!parts) throw this.#damaged(`its ${key} is ${JSON.stringify(text)}`);
    const [, sign, seconds = '0', fraction = ''] = parts;
    const time = { seconds: Number(seconds), nanoseconds: Number(fraction.slice(0, 9).padEnd(9, '0')) };
    return sign === '-' ? timeFromNanoseconds(-nanosecondsOf(time)) : time;
  }

  #xattrs(): ReadonlyMap<string, Uint8Array> {
    const xattrs = new Map<string, Uint8Array>();
    for (const records of [this.#global, this.#pax]) {
      for (const [key, value] of records) {
        if (key.startsWith(attributePrefix)) xattrs.set(attributeName(key), value);
      }
    }
    return xattrs;
  }

  #damaged(problem: string): Ext4Error {
    const member = this.#member === '' ? '' : ` member ${quoted(this.#member)}`;
    return new Ext4Error(
      'INVALID_ARCHIVE',
      `Cannot read the tar archive:${member} at byte ${this.#headerOffset}: ${problem}`,
    );
  }
}

/** GNU tar escapes what would end a key, and the sign that it escapes with. */
function attributeName(key: string): string {
  const name = key.slice(attributePrefix.length);
  return name.includes('%') ? name.replaceAll('%3D', '=').replaceAll('%25', '%') : name;
}

function padded(size: number): number {
  return Math.ceil(size / blockLength) * blockLength;
}

function isZero(block: Uint8Array): boolean {
  for (let at = 0; at < blockLength; at++) if (block[at] !== 0) return false;
  return true;
}

/** The sum of all bytes, with spaces in the checksum's own place. */
function checksumOf(block: Uint8Array): number {
  let sum = 8 * 32;
  for (let at = 0; at < 148; at++) sum += block[at]!;
  for (let at = 156; at < blockLength; at++) sum += block[at]!;
  return sum;
}

function untilNul(bytes: Buffer, start: number, end: number): string {
  let stop = start;
  while (stop < end && bytes[stop] !== 0) stop++;
  return bytes.toString('latin1', start, stop);
}
