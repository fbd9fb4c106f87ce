import type { FileTree, TreeEntry } from './file-tree.ts';

const block = 512;

const typeFlags: Record<TreeEntry['type'], string> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/**
 * The blocks of a POSIX tar of the tree. All times are 0 and owners are numbers, so the same tree makes the
 * same bytes. Hard links come last, after the files they name.
 */
export function* writeTar(tree: FileTree): Generator<Uint8Array> {
  const entries = tree.sorted();
  const isLink = ([, entry]: [string, TreeEntry]): boolean => entry.type === 'link';
  for (const [path, entry] of [...entries.filter((e) => !isLink(e)), ...entries.filter(isLink)]) {
    const name = entry.type === 'directory' ? `${path}/` : path;
    const target = entry.type === 'symlink' || entry.type === 'link' ? entry.target : '';
    const content = entry.type === 'file' ? entry.content : new Uint8Array();
    const records = [
      ...(Buffer.byteLength(name) > 100 ? [paxRecord('path', name)] : []),
      ...(Buffer.byteLength(target) > 100 ? [paxRecord('linkpath', target)] : []),
    ];
    if (records.length > 0) {
      const extension = Buffer.from(records.join(''));
      yield header({ name: 'pax', flag: 'x', mode: 0o644, size: extension.length });
      yield padded(extension);
    }
    yield header({ ...entry, name, flag: typeFlags[entry.type], target, size: content.length });
    if (content.length === 0) continue;
    yield content;
    yield new Uint8Array(-content.length & (block - 1));
  }
  yield new Uint8Array(2 * block);
}

interface Header {
  name: string;
  flag: string;
  mode: number;
  size: number;
  uid?: number;
  gid?: number;
  target?: string;
  major?: number;
  minor?: number;
}

function header(fields: Header): Uint8Array {
  const bytes = Buffer.alloc(block);
  const text = (value: string, offset: number, length: number): void => {
    Buffer.from(value).copy(bytes, offset, 0, length);
  };
  const octal = (value: number, offset: number, length: number): void => {
    text(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length);
  };
  text(fields.name, 0, 100);
  octal(fields.mode, 100, 8);
  octal(fields.uid ?? 0, 108, 8);
  octal(fields.gid ?? 0, 116, 8);
  octal(fields.size, 124, 12);
  octal(0, 136, 12);
  text(' '.repeat(8), 148, 8);
  text(fields.flag, 156, 1);
  text(fields.target ?? '', 157, 100);
  text('ustar\0', 257, 6);
  text('00', 263, 2);
  octal(fields.major ?? 0, 329, 8);
  octal(fields.minor ?? 0, 337, 8);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  text(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
  return bytes;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest;
  while (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, new Uint8Array(-bytes.length & (block - 1))]);
}
