import { Ext4Error } from './ext4-error.ts';

/*
 * A POSIX access control list, little-endian, as a system call takes it (version 2) and as ext4 stores it
 * (version 1, where only entries that name a user or group have an id):
 *
 *   0         4     6             8                     0         4     6             8
 *   +---------+-----+-------------+----+-- ...          +---------+-----+-------------+-- ...
 *   | version | tag | permissions | id |                | version | tag | permissions | id, if any
 *   | 2       |     |             |    |                | 1       |     |             |
 *   +---------+-----+-------------+----+-- ...          +---------+-----+-------------+-- ...
 */

const callVersion = 2;
const diskVersion = 1;
/** Tags of entries that name somebody: a user, a group. */
const named = new Set([0x02, 0x08]);
const noId = 0xffffffff;

export function aclToDisk(value: Uint8Array, subject: string): Uint8Array {
  const from = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (from.length < 4 || (from.length - 4) % 8 !== 0 || from.readUInt32LE(0) !== callVersion) {
    throw new Ext4Error(
      'XATTR_TOO_LARGE',
      `Cannot store the access control list of "${subject}": it is malformed`,
    );
  }
  const to = Buffer.alloc(value.length);
  to.writeUInt32LE(diskVersion, 0);
  let at = 4;
  for (let entry = 4; entry < from.length; entry += 8) {
    const tag = from.readUInt16LE(entry);
    const size = named.has(tag) ? 8 : 4;
    from.copy(to, at, entry, entry + size);
    at += size;
  }
  return Uint8Array.from(to.subarray(0, at));
}

/** A list that ext4 would not have written is given as it is. */
export function aclFromDisk(value: Uint8Array): Uint8Array {
  const from = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (from.length < 4 || from.readUInt32LE(0) !== diskVersion) return value;
  const to = Buffer.alloc(4 + (from.length - 4) * 2);
  to.writeUInt32LE(callVersion, 0);
  let end = 4;
  for (let at = 4; at + 4 <= from.length; end += 8) {
    const size = named.has(from.readUInt16LE(at)) ? 8 : 4;
    if (at + size > from.length) return value;
    to.writeUInt32LE(noId, end + 4);
    from.copy(to, end, at, at + size);
    at += size;
  }
  return Uint8Array.from(to.subarray(0, end));
}
