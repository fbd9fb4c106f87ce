import { HcsError } from '@hcsshim/schema';

/*
 * A header of a tar archive (POSIX ustar, and GNU's where it differs), one block of 512 bytes:
 *
 *   0      100    108    116    124    136    148        156    157      257     265   297   329   337   345    500
 *   +------+------+------+------+------+------+----------+------+--------+-------+-----+-----+-----+-----+------+---+
 *   | name | mode | uid  | gid  | size | time | checksum | type | target | magic | …   | …   | maj | min | prefix   |
 *   +------+------+------+------+------+------+----------+------+--------+-------+-----+-----+-----+-----+------+---+
 *
 * Content follows, filled up to a whole block. Records of type x (PAX) and L, K (GNU) hold what does not fit
 * for the entry after them.
 */

const blockLength = 512;
/** Largest record of names and attributes that is taken, in bytes. */
const longestRecord = 1 << 20;

type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

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
  /** Bytes of content. */
  size: number;
  /** Nanoseconds from the Unix epoch. */
  modified: bigint;
  /** Where a link points to; empty for all others. */
  target: string;
  major: number;
  minor: number;
  attributes: ReadonlyMap<string, Uint8Array>;
  /** Where in the archive the content begins. */
  offset: number;
  /** The content; only until the next entry is asked for, what is left of it is then skipped. */
  content: AsyncIterable<Uint8Array>;
}

const types: Record<string, TarEntryType> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

/** The bytes of an archive. */
export interface TarSource extends AsyncIterable<Uint8Array> {
  /** Leaves out the next bytes without reading them, where that can be done. */
  skip?(bytes: number): void;
}

/** Reads the entries of an archive, to its very end. Throws HCS_E_INVALID_LAYER when it is damaged. */
export async function* readTar(source: TarSource): AsyncGenerator<TarEntry, void, undefined> {
  await using input = new ByteReader(source);
  let pax = new Map<string, Uint8Array>();
  let longPath: string | undefined;
  let longTarget: string | undefined;
  for (;;) {
    const block = await input.take(blockLength, true);
    if (!block || block.every((byte) => byte === 0)) break;
    const header = readHeader(block);
    if (header.type === 'x' || header.type === 'L' || header.type === 'K' || header.type === 'g') {
      const record = await readRecord(input, header.size);
      if (header.type === 'x') pax = readPax(record);
      else if (header.type === 'L') longPath = untilNul(record);
      else if (header.type === 'K') longTarget = untilNul(record);
      continue;
    }
    const type = types[header.type];
    if (type === undefined || pax.has('GNU.sparse.major')) {
      throw damaged(`entry "${header.path}" is of type "${header.type}", which no image has`);
    }
    const size = type === 'file' ? paxNumber(pax, 'size', header.size) : 0;
    const { position } = input;
    const content = input.stream(size);
    yield {
      path: paxText(pax, 'path') ?? longPath ?? header.path,
      type,
      mode: header.mode & 0o7777,
      uid: paxNumber(pax, 'uid', header.uid),
      gid: paxNumber(pax, 'gid', header.gid),
      size,
      modified: paxTime(pax, 'mtime') ?? BigInt(header.modified) * 1_000_000_000n,
      target: paxText(pax, 'linkpath') ?? longTarget ?? header.target,
      major: header.major,
      minor: header.minor,
      attributes: paxAttributes(pax),
      offset: position,
      content,
    };
    // With what the consumer left of the content.
    await input.skip(position + Math.ceil(size / blockLength) * blockLength - input.position);
    pax = new Map();
    longPath = undefined;
    longTarget = undefined;
  }
  await input.drain();
}

interface Header {
  path: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  modified: number;
  type: string;
  target: string;
  major: number;
  minor: number;
}

function readHeader(block: Uint8Array): Header {
  const sum = block.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
  if (sum !== numberAt(block, 148, 8)) throw damaged('a header has a wrong checksum');
  const name = untilNul(block.subarray(0, 100));
  // GNU's headers have other fields where ustar has the prefix; ustar alone has a NUL after its magic.
  const prefix = latin1(block.subarray(257, 263)) === 'ustar\0' ? untilNul(block.subarray(345, 500)) : '';
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode: numberAt(block, 100, 8),
    uid: numberAt(block, 108, 8),
    gid: numberAt(block, 116, 8),
    size: numberAt(block, 124, 12),
    modified: numberAt(block, 136, 12),
    type: latin1(block.subarray(156, 157)),
    target: untilNul(block.subarray(157, 257)),
    major: numberAt(block, 329, 8),
    minor: numberAt(block, 337, 8),
  };
}

/** Octal digits, or with the top bit set a binary number (GNU). */
function numberAt(block: Uint8Array, start: number, length: number): number {
  const field = block.subarray(start, start + length);
  if ((field[0] ?? 0) & 0x80) {
    const value = field.reduce(
      (total, byte, index) => (total << 8n) | BigInt(index === 0 ? byte & 0x7f : byte),
      0n,
    );
    const signed = BigInt.asIntN(length * 8 - 1, value);
    if (signed > BigInt(Number.MAX_SAFE_INTEGER) || signed < BigInt(Number.MIN_SAFE_INTEGER)) {
      throw damaged('a number in a header is too large');
    }
    return Number(signed);
  }
  const digits = untilNul(field).trim();
  if (digits === '') return 0;
  if (!/^[0-7]+$/.test(digits)) throw damaged('a number in a header is not octal');
  return Number.parseInt(digits, 8);
}

async function readRecord(input: ByteReader, size: number): Promise<Uint8Array> {
  if (size < 0 || size > longestRecord)
    throw damaged(`a record of names has ${size} bytes, allowed are ${longestRecord}`);
  const record = await input.take(size);
  await input.skip(Math.ceil(size / blockLength) * blockLength - size);
  return record;
}

/** Lines of the form `<length> <key>=<value>\n`, where the length counts all of the line. */
function readPax(record: Uint8Array): Map<string, Uint8Array> {
  const values = new Map<string, Uint8Array>();
  for (let at = 0; at < record.length; ) {
    const space = record.indexOf(0x20, at);
    const digits = latin1(record.subarray(at, Math.max(at, space)));
    const end = at + Number(digits);
    const equals = record.indexOf(0x3d, space);
    if (
      !/^\d{1,8}$/.test(digits) ||
      end > record.length ||
      equals < 0 ||
      equals >= end ||
      record[end - 1] !== 0x0a
    ) {
      throw damaged('an extended header is malformed');
    }
    values.set(latin1(record.subarray(space + 1, equals)), record.slice(equals + 1, end - 1));
    at = end;
  }
  return values;
}

function paxText(pax: ReadonlyMap<string, Uint8Array>, key: string): string | undefined {
  const value = pax.get(key);
  return value && latin1(value);
}

function paxNumber(pax: ReadonlyMap<string, Uint8Array>, key: string, otherwise: number): number {
  const text = paxText(pax, key);
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw damaged(`an entry has no valid ${key}`);
  return value;
}

function paxTime(pax: ReadonlyMap<string, Uint8Array>, key: string): bigint | undefined {
  const text = paxText(pax, key);
  if (text === undefined) return undefined;
  const parts = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(text);
  if (!parts) throw damaged(`an entry has no valid ${key}`);
  const [, sign, seconds = '0', fraction = ''] = parts;
  const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
  return sign === '-' ? -nanoseconds : nanoseconds;
}

const attributePrefix = 'SCHILY.xattr.';

function paxAttributes(pax: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  return new Map(
    [...pax]
      .filter(([key]) => key.startsWith(attributePrefix))
      .map(([key, value]) => [key.slice(attributePrefix.length), value]),
  );
}

/** Reads a byte stream piece by piece, and holds no more of it than the chunk it came in. */
class ByteReader implements AsyncDisposable {
  /** Bytes read so far. */
  position = 0;
  readonly #source: TarSource;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: TarSource) {
    this.#source = source;
    this.#chunks = source[Symbol.asyncIterator]();
  }

  take(length: number): Promise<Uint8Array>;
  /** Undefined when the stream has ended before the first byte. */
  take(length: number, orEnd: true): Promise<Uint8Array | undefined>;
  async take(length: number, orEnd = false): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const part = await this.#next(length - filled);
      if (!part) {
        if (orEnd && filled === 0) return undefined;
        throw damaged('it ends in the middle of an entry');
      }
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }

  async skip(length: number): Promise<void> {
    let left = length;
    while (left > 0) {
      if (this.#chunk.length === 0 && this.#source.skip) {
        this.#source.skip(left);
        this.position += left;
        return;
      }
      const part = await this.#next(left);
      if (!part) throw damaged('it ends in the middle of an entry');
      left -= part.length;
    }
  }

  /** Can be gone through in several goes: each goes on where the last stopped. */
  stream(length: number): AsyncIterable<Uint8Array> {
    let left = length;
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      if (left === 0) return { done: true, value: undefined };
      const part = await this.#next(left);
      if (!part) throw damaged('it ends in the middle of an entry');
      left -= part.length;
      return { done: false, value: part };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  /** Reads to the end: only then does a digest over the stream cover all of it. */
  async drain(): Promise<void> {
    while (await this.#next(Number.MAX_SAFE_INTEGER));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }

  async #next(most: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return undefined;
      this.#chunk = value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    this.position += part.length;
    return part;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function untilNul(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return latin1(end < 0 ? bytes : bytes.subarray(0, end));
}

function damaged(problem: string): HcsError {
  return new HcsError({ action: 'Cannot read the tar archive', problem, code: 'HCS_E_INVALID_LAYER' });
}
