import type { FileTree, TreeEntry } from './file-tree.ts';

/*
 * newc, the cpio format that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst):
 *
 *     "070701" + 13 fields of 8 hex digits: ino mode uid gid nlink mtime filesize
 *     major minor rmajor rminor namesize check(0) | name NUL | pad to 4 | data | pad to 4
 *
 * and at the end an entry named TRAILER!!!
 */

const fileTypeBits: Record<TreeEntry['type'], number> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  link: 0o100000,
  symlink: 0o120000,
};

/** A newc archive of the tree. All times are 0, so the same tree makes the same bytes. Takes no hard links. */
export function writeCpio(tree: FileTree): Uint8Array {
  const parts: Uint8Array[] = [];
  const write = (name: string, inode: number, mode: number, entry: TreeEntry | undefined): void => {
    const data =
      entry?.type === 'file'
        ? entry.content
        : entry?.type === 'symlink'
          ? Buffer.from(entry.target)
          : new Uint8Array();
    const device = entry?.type === 'character' || entry?.type === 'block' ? entry : { major: 0, minor: 0 };
    const nameBytes = Buffer.from(`${name}\0`);
    const fields = [
      inode,
      mode,
      entry?.uid ?? 0,
      entry?.gid ?? 0,
      1,
      0,
      data.length,
      0,
      0,
      device.major,
      device.minor,
      nameBytes.length,
      0,
    ];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    parts.push(
      Buffer.from(header),
      nameBytes,
      padding(header.length + nameBytes.length),
      data,
      padding(data.length),
    );
  };
  for (const [index, [path, entry]] of tree.sorted().entries()) {
    if (entry.type === 'link') {
      throw new Error(
        `Cannot write "${path}" to a cpio archive: it is a hard link, make it a file or a symlink`,
      );
    }
    write(path, index + 1, fileTypeBits[entry.type] | entry.mode, entry);
  }
  write('TRAILER!!!', 0, 0, undefined);
  return Buffer.concat(parts);
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
