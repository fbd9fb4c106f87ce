import { constants } from 'node:os';
import { checked, lastErrno, libc } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

/** Linux lists at most this much, in bytes, and no value is larger (`linux/limits.h`). */
const longest = 64 * 1024;
const buffer = Buffer.alloc(longest);

/**
 * The extended attributes of a file, a symlink's its own. Names are byte strings: each character is one byte. Empty
 * where the file system has none. Who lacks CAP_SYS_ADMIN does not see `trusted.*`.
 */
export function readXattrs(path: Buffer): Map<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  const file = cString(path);
  const { llistxattr, lgetxattr } = libc();
  const length = Number(llistxattr(file, buffer, BigInt(longest)));
  if (length <= 0) {
    if (length < 0) refuseUnlessUnsupported(path);
    return xattrs;
  }
  for (const name of buffer.toString('latin1', 0, length - 1).split('\0')) {
    const action = `read attribute "${name}" of "${path}"`;
    const size = Number(
      checked(
        lgetxattr(file, cString(Buffer.from(name, 'latin1')), buffer, BigInt(longest)),
        'lgetxattr',
        action,
      ),
    );
    xattrs.set(name, Uint8Array.from(buffer.subarray(0, size)));
  }
  return xattrs;
}

function refuseUnlessUnsupported(path: Buffer): void {
  const errno = lastErrno();
  if (errno !== constants.errno.ENOTSUP) {
    throw new SystemCallError('llistxattr', errno, `read the extended attributes of "${path}"`);
  }
}

function cString(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}
