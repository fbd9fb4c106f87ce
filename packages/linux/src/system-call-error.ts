import { constants } from 'node:os';
import { getSystemErrorMessage } from 'node:util';

/** Where a number has two names, the first is the one that Node and libuv use: EAGAIN, not EWOULDBLOCK. */
const namesByNumber = new Map(
  Object.entries(constants.errno)
    .map(([name, number]) => [number, name] as const)
    .reverse(),
);

/** A system call that failed. `code` is the errno's name (`ENOENT`), as in Node's own errors. */
export class SystemCallError extends Error {
  /** The call, as its manual page is named: `mount`, `ioctl LOOP_CONFIGURE`. */
  readonly syscall: string;
  /** Positive, as in `errno.h`. */
  readonly errno: number;
  readonly code: string;

  /** @param action What could not be done and to what, to follow "Cannot": `mount "/dev/sda" on "/mnt"`. */
  constructor(syscall: string, errno: number, action: string) {
    const code = namesByNumber.get(errno) ?? `errno ${errno}`;
    super(`Cannot ${action}: ${getSystemErrorMessage(-errno)} (${code} from ${syscall})`);
    this.name = 'SystemCallError';
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}
