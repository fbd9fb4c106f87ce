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

  /**
   * @param action What could not be done and to what, to follow "Cannot": `mount "/dev/sda" on "/mnt"`.
   * @param words The kernel's own, where it has some. @default none
   */
  constructor(syscall: string, errno: number, action: string, words?: string) {
    const code = namesByNumber.get(errno) ?? `errno ${errno}`;
    const problem = words === undefined ? getSystemErrorMessage(-errno) : lowerFirst(words);
    super(`Cannot ${action}: ${problem} (${code} from ${syscall})`);
    this.name = 'SystemCallError';
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
  }
}

/** To follow a colon; abbreviations stay as they are. */
function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}
