import { FileTree, type TreeEntry } from './file-tree.ts';

const block = 512;
/** Longest extension header (pax record block, GNU long name) that is taken. */
const extensionLimit = 1 << 20;

export interface ReadTarOptions {
  /** For errors: the file that is read. */
  name: string;
  /** Takes the entries that this is true for. @default all */
  wanted?: (path: string) => boolean;
  /** Most bytes of wanted files, together. @default 4 GiB */
  limit?: number;
}

/** Reads a tar (v7, ustar, GNU, pax) into a tree. Times are dropped, a path never leads out of the tree. */
export async function readTar(source: AsyncIterable<Uint8Array>, options: ReadTarOptions): Promise<FileTree> {
  const { name: archive, wanted = () => true } = options;
  let room = options.limit ?? 4 * 2 ** 30;
  const bytes = new ByteReader(source, archive);
  const tree = new FileTree();
  let extension: { path?: string; linkpath?: string; size?: number } = {};
  for (;;) {
    const raw = await bytes.take(block, true);
    if (raw === undefined || raw.every((byte) => byte === 0)) break;
    const header = parseHeader(raw, archive);
    const size = extension.size ?? header.size;
    const padding = -size & (block - 1);
    if (header.flag === 'x' || header.flag === 'g' || header.flag === 'L' || header.flag === 'K') {
      if (size > extensionLimit) throw malformed(archive, `an extension header of ${size} bytes`);
      const body = (await bytes.take(size)) as Uint8Array;
      await bytes.skip(padding);
      if (header.flag === 'x') extension = { ...extension, ...parsePax(body, archive) };
      else if (header.flag === 'L') extension.path = cString(body);
      else if (header.flag === 'K') extension.linkpath = cString(body);
      continue;
    }
    const path = normalise(extension.path ?? header.name);
    const target = extension.linkpath ?? header.target;
    extension = {};
    const attributes = { mode: header.mode & 0o7777, uid: header.uid, gid: header.gid };
    if (path === '' || !wanted(path)) {
      await bytes.skip(size + padding);
    } else if (header.flag === '0' || header.flag === '\0' || header.flag === '7') {
      if ((room -= size) < 0) throw malformed(archive, 'more data than is allowed for');
      const content = (await bytes.take(size)) as Uint8Array;
      await bytes.skip(padding);
      tree.add(path, { type: 'file', content, ...attributes });
    } else {
      await bytes.skip(size + padding);
      const entry = specialEntry(header, target, attributes);
      if (entry) tree.add(path, entry);
    }
  }
  await bytes.drain();
  return tree;
}

interface ParsedHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  flag: string;
  target: string;
  major: number;
  minor: number;
}

function specialEntry(
  { flag, major, minor }: ParsedHeader,
  target: string,
  attributes: { mode: number; uid: number; gid: number },
): TreeEntry | undefined {
  switch (flag) {
    case '1':
      return { type: 'link', target: normalise(target), ...attributes };
    case '2':
      return { type: 'symlink', target, ...attributes };
    case '3':
      return { type: 'character', major, minor, ...attributes };
    case '4':
      return { type: 'block', major, minor, ...attributes };
    case '5':
      return { type: 'directory', ...attributes };
    case '6':
      return { type: 'fifo', ...attributes };
    default:
      return undefined;
  }
}

function parseHeader(raw: Uint8Array, archive: string): ParsedHeader {
  const number = (offset: number, length: number): number => {
    // GNU's base-256 form, for numbers that octal has no room for.
    if ((raw[offset] as number) & 0x80) {
      let value = (raw[offset] as number) & 0x7f;
      for (const byte of raw.subarray(offset + 1, offset + length)) value = value * 256 + byte;
      return value;
    }
    return Number.parseInt(cString(raw.subarray(offset, offset + length)).trim() || '0', 8);
  };
  const sum = raw.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  const size = number(124, 12);
  if (sum !== number(148, 8) || !Number.isSafeInteger(size))
    throw malformed(archive, 'a header with a wrong checksum');
  const isUstar = Buffer.from(raw.subarray(257, 263)).toString('latin1') === 'ustar\0';
  const prefix = isUstar ? cString(raw.subarray(345, 500)) : '';
  const name = cString(raw.subarray(0, 100));
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    mode: number(100, 8),
    uid: number(108, 8),
    gid: number(116, 8),
    size,
    flag: String.fromCharCode(raw[156] as number),
    target: cString(raw.subarray(157, 257)),
    major: number(329, 8),
    minor: number(337, 8),
  };
}

function parsePax(body: Uint8Array, archive: string): { path?: string; linkpath?: string; size?: number } {
  const found: { path?: string; linkpath?: string; size?: number } = {};
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number.parseInt(Buffer.from(body.subarray(at, space)).toString('latin1'), 10);
    if (space < 0 || !(length > 0) || at + length > body.length)
      throw malformed(archive, 'a wrong pax record');
    const record = Buffer.from(body.subarray(space + 1, at + length - 1)).toString('utf8');
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path' || key === 'linkpath') found[key] = value;
    else if (key === 'size') found.size = Number.parseInt(value, 10);
    at += length;
  }
  return found;
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function malformed(archive: string, problem: string): Error {
  return new Error(
    `Cannot read tar "${archive}": found ${problem}, check that the file is a whole tar archive`,
  );
}

/** Takes exact counts of bytes from a stream of chunks. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #archive: string;
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>, archive: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#archive = archive;
  }

  /** The next `count` bytes; undefined at the end of the stream when `optional`. */
  async take(count: number, optional = false): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#chunk.length === 0 && !(await this.#next())) {
        if (optional && missing === count) return undefined;
        throw malformed(this.#archive, 'its end too early');
      }
      const part = this.#chunk.subarray(0, missing);
      this.#chunk = this.#chunk.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  async skip(count: number): Promise<void> {
    for (let missing = count; missing > 0; ) {
      if (this.#chunk.length === 0 && !(await this.#next()))
        throw malformed(this.#archive, 'its end too early');
      const part = Math.min(missing, this.#chunk.length);
      this.#chunk = this.#chunk.subarray(part);
      missing -= part;
    }
  }

  /** Reads on to the end, so that the writer of a pipe ends in peace. */
  async drain(): Promise<void> {
    while (await this.#next());
  }

  async #next(): Promise<boolean> {
    const { done, value } = await this.#source.next();
    this.#chunk = done ? new Uint8Array() : value;
    return !done;
  }
}
