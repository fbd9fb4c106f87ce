import type { DynamicLibrary, FunctionSignature, WrappedFunctionFromSignature } from 'node:ffi';
import { constants } from 'node:os';
import { SystemCallError } from './system-call-error.ts';

/**
 * The C functions that this package calls, resolved in the running process: glibc, and the libuv inside the
 * node binary. Nothing is loaded before the first call, and each symbol only when it is first used, so a
 * program that merely imports the package pays nothing.
 */
const signatures = {
  // Descriptors and memory
  close: { return: 'i32', arguments: ['i32'] },
  read: { return: 'i64', arguments: ['i32', 'pointer', 'u64'] },
  write: { return: 'i64', arguments: ['i32', 'pointer', 'u64'] },
  pipe2: { return: 'i32', arguments: ['pointer', 'i32'] },
  fcntl: { return: 'i32', arguments: ['i32', 'i32', 'i64'] },
  flock: { return: 'i32', arguments: ['i32', 'i32'] },
  lseek: { return: 'i64', arguments: ['i32', 'i64', 'i32'] },
  ioctl: { return: 'i32', arguments: ['i32', 'u64', 'pointer'] },
  eventfd: { return: 'i32', arguments: ['u32', 'i32'] },
  memfd_create: { return: 'i32', arguments: ['pointer', 'u32'] },
  mmap: { return: 'pointer', arguments: ['pointer', 'u64', 'i32', 'i32', 'i32', 'i64'] },
  munmap: { return: 'i32', arguments: ['pointer', 'u64'] },
  calloc: { return: 'pointer', arguments: ['u64', 'u64'] },
  free: { return: 'void', arguments: ['pointer'] },
  __errno_location: { return: 'pointer', arguments: [] },
  // Sockets
  socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
  socketpair: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer'] },
  bind: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
  listen: { return: 'i32', arguments: ['i32', 'i32'] },
  accept4: { return: 'i32', arguments: ['i32', 'pointer', 'pointer', 'i32'] },
  connect: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
  getsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'pointer'] },
  setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'] },
  send: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
  recvfrom: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32', 'pointer', 'pointer'] },
  recvmsg: { return: 'i64', arguments: ['i32', 'pointer', 'i32'] },
  sendmsg: { return: 'i64', arguments: ['i32', 'pointer', 'i32'] },
  // File systems
  mount: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer', 'u64', 'pointer'] },
  umount2: { return: 'i32', arguments: ['pointer', 'i32'] },
  llistxattr: { return: 'i64', arguments: ['pointer', 'pointer', 'u64'] },
  lgetxattr: { return: 'i64', arguments: ['pointer', 'pointer', 'pointer', 'u64'] },
  mknod: { return: 'i32', arguments: ['pointer', 'u32', 'u64'] },
  // Processes
  prctl: { return: 'i32', arguments: ['i32', 'u64', 'u64', 'u64', 'u64'] },
  waitpid: { return: 'i32', arguments: ['i32', 'pointer', 'i32'] },
  waitid: { return: 'i32', arguments: ['i32', 'i32', 'pointer', 'i32'] },
  kill: { return: 'i32', arguments: ['i32', 'i32'] },
  unshare: { return: 'i32', arguments: ['i32'] },
  setns: { return: 'i32', arguments: ['i32', 'i32'] },
  syscall: { return: 'i64', arguments: ['i64', 'i64', 'i64', 'i64', 'i64'] },
  // Terminals
  posix_openpt: { return: 'i32', arguments: ['i32'] },
  grantpt: { return: 'i32', arguments: ['i32'] },
  unlockpt: { return: 'i32', arguments: ['i32'] },
  ptsname_r: { return: 'i32', arguments: ['i32', 'pointer', 'u64'] },
  // The system
  clock_settime: { return: 'i32', arguments: ['i32', 'pointer'] },
  sethostname: { return: 'i32', arguments: ['pointer', 'u64'] },
  reboot: { return: 'i32', arguments: ['i32'] },
  // libuv
  uv_handle_size: { return: 'u64', arguments: ['i32'] },
  uv_poll_init: { return: 'i32', arguments: ['pointer', 'pointer', 'i32'] },
  uv_poll_start: { return: 'i32', arguments: ['pointer', 'i32', 'pointer'] },
  uv_poll_stop: { return: 'i32', arguments: ['pointer'] },
  uv_close: { return: 'void', arguments: ['pointer', 'pointer'] },
  uv_ref: { return: 'void', arguments: ['pointer'] },
  uv_unref: { return: 'void', arguments: ['pointer'] },
} as const satisfies Record<string, FunctionSignature>;

type Libc = { readonly [K in keyof typeof signatures]: WrappedFunctionFromSignature<(typeof signatures)[K]> };

let ffiModule: typeof import('node:ffi') | undefined;
let library: DynamicLibrary | undefined;
let functions: Libc | undefined;
let errnoPointer = 0n;

/** `node:ffi`, without the warning that it is experimental: on a program's stderr it would be noise. */
export function ffi(): typeof import('node:ffi') {
  if (ffiModule !== undefined) return ffiModule;
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    ffiModule = process.getBuiltinModule('node:ffi');
  } finally {
    process.emitWarning = emitWarning;
  }
  if (ffiModule === undefined) {
    throw new Error(
      `Cannot call the C library: Node ${process.versions.node} has no module "node:ffi", use Node 26.6 or newer`,
    );
  }
  return ffiModule;
}

/** The running process as a library. */
export function ownLibrary(): DynamicLibrary {
  library ??= new (ffi().DynamicLibrary)(null);
  return library;
}

/** The C functions. */
export function libc(): Libc {
  if (functions !== undefined) return functions;
  const table = {};
  for (const [name, signature] of Object.entries(signatures)) {
    Object.defineProperty(table, name, {
      configurable: true,
      enumerable: true,
      get() {
        const value = ownLibrary().getFunction(name, signature);
        Object.defineProperty(table, name, { value, enumerable: true });
        return value;
      },
    });
  }
  functions = table as Libc;
  // Resolving a symbol changes errno, so this one must be known before the first call that can fail.
  errnoPointer = functions.__errno_location();
  return functions;
}

/** The errno of the last C function that failed on this thread. Read it before anything else happens. */
export function lastErrno(): number {
  return ffi().getInt32(errnoPointer, 0);
}

/**
 * The result of a C function, or a {@link SystemCallError} when it is -1.
 *
 * @param action What was being done and to what, to follow "Cannot" in the message.
 */
export function checked<T extends number | bigint>(result: T, syscall: string, action: string): T {
  if (Number(result) === -1) throw new SystemCallError(syscall, lastErrno(), action);
  return result;
}

/** A call that a signal cut short is made again; anything else returns as it is. */
export function retryInterrupted<T extends number | bigint>(call: () => T): T {
  for (;;) {
    const result = call();
    if (Number(result) !== -1 || lastErrno() !== constants.errno.EINTR) return result;
  }
}

/** Closes a descriptor. Errors are of no use to anyone: the descriptor is gone in either case (`close(2)`). */
export function closeFd(fd: number): void {
  libc().close(fd);
}
