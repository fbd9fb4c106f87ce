import { type FileTime, nanosecondsOf } from './layout.ts';
import type { TarEntry } from './tar-decoder.ts';

/*
 * An archive as POSIX ustar has it (the header is drawn in tar-decoder.ts). What a field of the header cannot say is in a
 * record before the entry (PAX, type x), a line each:
 *
 *   30 mtime=1700000000.123456789\n
 *   ^^ length of the line in decimal digits, itself included
 *
 * A file with holes is in the form that GNU tar calls PAX 1.0: its content begins with a list of its parts, filled up
 * to a whole block, and goes on with these alone:
 *
 *   count \n offset \n size \n offset \n size \n ...
 */

const blockLength = 512;
const longestNameField = 100;
const longestPrefixField = 155;
const endOfArchive = 2 * blockLength;

const typeFlags: Readonly<Record<TarEntry['type'], string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Content between two holes, in bytes. */
export interface TarPart {
  offset: number;
  size: number;
}

/** An entry to write. `path`, `target` and the attributes' names are byte strings; a directory's path has a `/` at its end. */
export interface NewTarEntry extends Omit<TarEntry, 'offset' | 'contentOffset'> {
  /** Of a file with holes, in their order, at least one; only they are stored. */
  parts?: readonly TarPart[];
}

/** Makes the headers of an archive. Content is not its business: it follows the header of its entry as it is. */
export class TarEncoder {
  /** What fills up the content of the entry before. */
  #padding = 0;

  /**
   * All that comes before an entry's content: `size` bytes, or as many as `parts` have. Numbers beyond the header,
   * long names, parts of a second and attributes are put into a record.
   */
  entry(entry: NewTarEntry): Uint8Array {
    const map = entry.parts ? encodeMap(entry.parts) : '';
    const content = entry.parts ? entry.parts.reduce((sum, { size }) => sum + size, 0) : entry.size;
    const stored = entry.type === 'file' ? map.length + content : 0;
    const record = encodeRecord(entry, stored);
    const pieces: Uint8Array[] = [Buffer.alloc(this.#padding)];
    if (record.length > 0) {
      const name = `PaxHeaders/${lastName(entry.path)}`.slice(0, longestNameField);
      pieces.push(encodeHeader({ ...recordFile, path: name }, 'x', record.length));
      pieces.push(record, Buffer.alloc(paddingOf(record.length)));
    }
    const path = entry.parts ? sparsePath(entry.path) : entry.path;
    pieces.push(encodeHeader({ ...entry, path }, typeFlags[entry.type], stored), Buffer.from(map, 'latin1'));
    this.#padding = paddingOf(stored);
    return Buffer.concat(pieces);
  }

  /** What ends the archive. */
  end(): Uint8Array {
    const bytes = Buffer.alloc(this.#padding + endOfArchive);
    this.#padding = 0;
    return bytes;
  }
}

const epoch: FileTime = { seconds: 0, nanoseconds: 0 };
const recordFile = { mode: 0o644, uid: 0, gid: 0, modified: epoch, target: '', major: 0, minor: 0 };

type HeaderFields = Omit<NewTarEntry, 'type' | 'size' | 'xattrs'>;

/** A number that does not fit its field is 0 there; the record before it has the right one. */
function encodeHeader(entry: HeaderFields, type: string, size: number): Buffer {
  const block = Buffer.alloc(blockLength);
  const { name, prefix } = splitPath(entry.path) ?? { name: entry.path, prefix: '' };
  block.write(name.slice(0, longestNameField), 0, 'latin1');
  const numbers: [number, number, number][] = [
    [100, 7, entry.mode],
    [108, 7, entry.uid],
    [116, 7, entry.gid],
    [124, 11, size],
    [136, 11, Math.max(0, entry.modified.seconds)],
    [329, 7, entry.major],
    [337, 7, entry.minor],
  ];
  for (const [at, digits, value] of numbers) {
    block.write((fits(value, digits) ? value : 0).toString(8).padStart(digits, '0'), at, 'latin1');
  }
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(entry.target.slice(0, longestNameField), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345, 'latin1');
  let sum = 0;
  for (let at = 0; at < blockLength; at++) sum += block[at] as number;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function encodeRecord(entry: NewTarEntry, stored: number): Buffer {
  const lines: Buffer[] = [];
  const add = (key: string, value: string | number | Uint8Array): void => {
    lines.push(encodeLine(key, typeof value === 'object' ? value : Buffer.from(String(value), 'latin1')));
  };
  const { path, target, uid, gid, modified, accessed = modified, changed = modified, parts } = entry;
  if (parts) {
    add('GNU.sparse.major', 1);
    add('GNU.sparse.minor', 0);
    add('GNU.sparse.name', path);
    add('GNU.sparse.realsize', entry.size);
  } else if (!splitPath(path)) add('path', path);
  if (target.length > longestNameField) add('linkpath', target);
  if (!fits(stored, 11)) add('size', stored);
  if (!fits(uid, 7)) add('uid', uid);
  if (!fits(gid, 7)) add('gid', gid);
  if (modified.nanoseconds !== 0 || !fits(modified.seconds, 11)) add('mtime', encodeTime(modified));
  if (!isSame(accessed, modified)) add('atime', encodeTime(accessed));
  if (!isSame(changed, modified)) add('ctime', encodeTime(changed));
  for (const name of [...entry.xattrs.keys()].sort()) {
    add(`SCHILY.xattr.${escapeName(name)}`, entry.xattrs.get(name) as Uint8Array);
  }
  return Buffer.concat(lines);
}

function encodeLine(key: string, value: Uint8Array): Buffer {
  const rest = ` ${key}=`.length + value.length + 1;
  let length = rest + 1;
  while (String(length).length + rest !== length) length = String(length).length + rest;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
}

/** A key ends at the first `=`. GNU tar writes such names like this, and only it reads them. */
function escapeName(name: string): string {
  return /=|%25|%3D/.test(name) ? name.replaceAll('%', '%25').replaceAll('=', '%3D') : name;
}

function encodeTime(time: FileTime): string {
  const nanoseconds = nanosecondsOf(time);
  const digits = String(nanoseconds < 0n ? -nanoseconds : nanoseconds).padStart(10, '0');
  const fraction = digits.slice(-9).replace(/0+$/, '');
  return `${nanoseconds < 0n ? '-' : ''}${digits.slice(0, -9)}${fraction === '' ? '' : `.${fraction}`}`;
}

function isSame(one: FileTime, other: FileTime): boolean {
  return one.seconds === other.seconds && one.nanoseconds === other.nanoseconds;
}

function encodeMap(parts: readonly TarPart[]): string {
  const text = `${parts.length}\n${parts.map(({ offset, size }) => `${offset}\n${size}\n`).join('')}`;
  return text + '\0'.repeat(paddingOf(text.length));
}

/** A place that an archiver without sparse files can put the content to. */
function sparsePath(path: string): string {
  return `GNUSparseFile.0/${lastName(path)}`.slice(0, longestNameField);
}

/** Divides a path at a slash between the header's two fields; undefined when it does not fit them. */
function splitPath(path: string): { name: string; prefix: string } | undefined {
  if (path.length <= longestNameField) return { name: path, prefix: '' };
  const cut = path.indexOf('/', path.length - longestNameField - 1);
  if (cut < 1 || cut > longestPrefixField || cut === path.length - 1) return undefined;
  return { name: path.slice(cut + 1), prefix: path.slice(0, cut) };
}

function lastName(path: string): string {
  const end = path.endsWith('/') ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

function fits(value: number, octalDigits: number): boolean {
  return value >= 0 && value < 8 ** octalDigits;
}

function paddingOf(size: number): number {
  return (blockLength - (size % blockLength)) % blockLength;
}
