import { checked, closeFd, libc } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// fcntl.h, asm-generic/ioctls.h
const O_RDWR = 0o2;
const O_NOCTTY = 0o400;
const O_CLOEXEC = 0o2000000;
const TIOCSWINSZ = 0x5414n;

export interface Pty {
  /** Close-on-exec. Reading fails with EIO once all who had the slave open are gone: that is its end of file. */
  readonly masterFd: number;
  /** The device that the process opens: `/dev/pts/3`. */
  readonly slavePath: string;
}

/** A new pseudo-terminal, unlocked. */
export function openPty(): Pty {
  const action = 'open a pseudo-terminal';
  const masterFd = checked(libc().posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), 'posix_openpt', action);
  try {
    checked(libc().grantpt(masterFd), 'grantpt', action);
    checked(libc().unlockpt(masterFd), 'unlockpt', action);
    const name = Buffer.alloc(64);
    const errno = libc().ptsname_r(masterFd, name, BigInt(name.length));
    if (errno !== 0) throw new SystemCallError('ptsname_r', errno, action);
    return { masterFd, slavePath: name.toString('utf8', 0, name.indexOf(0)) };
  } catch (error) {
    closeFd(masterFd);
    throw error;
  }
}

/** Sets the size in characters; the foreground process gets SIGWINCH. */
export function resizePty(fd: number, { columns, rows }: { columns: number; rows: number }): void {
  const size = new Uint16Array([rows, columns, 0, 0]);
  checked(libc().ioctl(fd, TIOCSWINSZ, size), 'ioctl TIOCSWINSZ', `resize terminal ${fd}`);
}
