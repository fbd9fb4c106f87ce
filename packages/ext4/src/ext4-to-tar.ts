import type { Ext4Reader } from './ext4-reader.ts';
import type { FileStatus } from './layout.ts';
import { toByteString } from './path-name.ts';
import type { TarEntryType } from './tar-decoder.ts';
import { type NewTarEntry, TarEncoder, type TarPart } from './tar-encoder.ts';

export interface Ext4ToTarOptions {
  /** Write `lost+found` although nothing is in it. @default false */
  lostAndFound?: boolean;
}

/** So that the list of a file's parts stays below 1 MiB, which readers can be expected to take. */
const mostParts = 30_000;
const zeros = new Uint8Array(1 << 16);

/**
 * An ext4 file system as a tar archive, in pieces that are valid until the next is asked for. In the order of `walk`:
 * the root as `./`, each directory before what is in it, the first name of a file with its content and the others as
 * hard links to it. Holes remain holes, all times but that of creation are kept. Sockets are left out, as archivers do.
 * The same image makes the same bytes; in memory are the names of files that have several. With a reader of the
 * encoding `latin1`, names of any bytes come through.
 */
export function* ext4ToTar(
  reader: Ext4Reader,
  options: Ext4ToTarOptions = {},
): Generator<Uint8Array, void, undefined> {
  const encoder = new TarEncoder();
  const bytes = (text: string): string => toByteString(text, reader.pathEncoding);
  const firstNames = new Map<number, string>();
  for (const { path: text, status } of reader.walk()) {
    if (status.type === 'socket') continue;
    if (text === 'lost+found' && !options.lostAndFound && isEmptyDirectory(reader, text, status)) continue;
    const path = status.type === 'directory' ? `${bytes(text) || '.'}/` : bytes(text);
    const first = firstNames.get(status.inode);
    if (first !== undefined) {
      yield encoder.entry({
        ...entryOf(status, path, 'hardlink', bytes),
        target: first,
        size: 0,
        xattrs: none,
      });
      continue;
    }
    if (status.type !== 'directory' && status.links > 1) firstNames.set(status.inode, path);
    const entry = entryOf(status, path, status.type, bytes);
    if (status.type !== 'file') {
      yield encoder.entry(entry);
      continue;
    }
    const parts = partsOf(reader, status);
    const isWhole = parts.length === 1 && parts[0]?.offset === 0 && parts[0].size === status.size;
    yield encoder.entry(isWhole ? entry : { ...entry, parts });
    yield* storedContent(reader, status.inode, parts);
  }
  yield encoder.end();
}

const none: ReadonlyMap<string, Uint8Array> = new Map();

function entryOf(
  status: FileStatus,
  path: string,
  type: TarEntryType,
  bytes: (text: string) => string,
): NewTarEntry {
  const { mode, uid, gid, modified, accessed, changed, target = '', major = 0, minor = 0, xattrs } = status;
  return {
    path,
    type,
    mode,
    uid,
    gid,
    size: type === 'file' ? status.size : 0,
    modified,
    accessed,
    changed,
    target: bytes(target),
    major,
    minor,
    xattrs: new Map([...xattrs].map(([name, value]) => [bytes(name), value])),
  };
}

function isEmptyDirectory(reader: Ext4Reader, path: string, { type }: FileStatus): boolean {
  return type === 'directory' && reader.readDirectory(path).length === 0;
}

/** What of a file is to be stored. Where it has too many holes the smaller ones count as content. */
function partsOf(reader: Ext4Reader, { inode, size }: FileStatus): TarPart[] {
  for (let smallestHole = 1; ; smallestHole *= 2) {
    const parts: TarPart[] = [];
    for (const { offset, size: length } of reader.dataRanges(inode)) {
      const last = parts.at(-1);
      const end = last ? last.offset + last.size : 0;
      if (offset - end >= smallestHole || !last) {
        const start = offset < smallestHole ? 0 : offset;
        parts.push({ offset: start, size: offset + length - start });
      } else last.size = offset + length - last.offset;
      if (parts.length > mostParts) break;
    }
    if (parts.length > mostParts) continue;
    const last = parts.at(-1);
    // A hole at the end has a part of no bytes behind it, without which GNU tar would lose it.
    if (!last || last.offset + last.size < size) parts.push({ offset: size, size: 0 });
    return parts;
  }
}

function* storedContent(
  reader: Ext4Reader,
  inode: number,
  parts: readonly TarPart[],
): Generator<Uint8Array, void, undefined> {
  const waiting = parts.values();
  let position = 0;
  let end = 0;
  for (const { offset, bytes } of reader.content(inode)) {
    while (offset >= end) {
      const { done, value } = waiting.next();
      if (done) return;
      position = value.offset;
      end = value.offset + value.size;
    }
    for (; position < offset; position += zeros.length) yield zeros.subarray(0, offset - position);
    yield bytes;
    position = offset + bytes.length;
  }
}
