import { checked, closeFd, ffi, libc, retryInterrupted } from './libc.ts';

// bits/socket.h
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** The kernel's own limit of one message (SCM_MAX_FD). */
const maxFds = 253;
const cmsgHeaderSize = 16;
const msghdrSize = 56;
const controlCapacity = cmsgHeaderSize + maxFds * 4 + 4;

/**
 * `struct msghdr` with one iovec, in memory that never moves:
 *
 *     0     8        16   24      32       40          48     56    64      72
 *     name  namelen  iov  iovlen  control  controllen  flags  base  length
 */
interface MessageMemory {
  readonly pointer: bigint;
  readonly view: DataView;
  readonly control: DataView;
}

let shared: MessageMemory | undefined;

function messageMemory(data: Uint8Array, controlLength: number): MessageMemory {
  if (shared === undefined) {
    const pointer = libc().calloc(1n, BigInt(msghdrSize + 16));
    const controlPointer = libc().calloc(1n, BigInt(controlCapacity));
    shared = {
      pointer,
      view: new DataView(ffi().toArrayBuffer(pointer, msghdrSize + 16, false)),
      control: new DataView(ffi().toArrayBuffer(controlPointer, controlCapacity, false)),
    };
    shared.view.setBigUint64(16, pointer + BigInt(msghdrSize), true);
    shared.view.setBigUint64(24, 1n, true);
    shared.view.setBigUint64(32, controlPointer, true);
  }
  const { view } = shared;
  view.setBigUint64(40, BigInt(controlLength), true);
  view.setInt32(48, 0, true);
  view.setBigUint64(56, ffi().getRawPointer(data), true);
  view.setBigUint64(64, BigInt(data.length), true);
  return shared;
}

/**
 * Reads from a unix socket, with the descriptors that came along (SCM_RIGHTS, close-on-exec, the caller's to
 * close). `length` 0 means the end. Fails with EAGAIN when there is nothing yet; wait with an `FdWatcher`.
 */
export function receiveFds(socketFd: number, into: Uint8Array): { length: number; fds: number[] } {
  const action = `receive from socket ${socketFd}`;
  const message = messageMemory(into, controlCapacity);
  const length = checked(
    retryInterrupted(() => libc().recvmsg(socketFd, message.pointer, MSG_CMSG_CLOEXEC)),
    'recvmsg',
    action,
  );
  const fds = readFds(message);
  if (message.view.getInt32(48, true) & MSG_CTRUNC) {
    for (const fd of fds) closeFd(fd);
    throw new RangeError(`Cannot ${action}: more than ${maxFds} descriptors came at once`);
  }
  return { length: Number(length), fds };
}

/** Control messages: length (with this header), level, type, then data padded to 8 bytes. */
function readFds({ view, control }: MessageMemory): number[] {
  const fds: number[] = [];
  const end = Number(view.getBigUint64(40, true));
  for (let at = 0; at + cmsgHeaderSize <= end; ) {
    const length = Number(control.getBigUint64(at, true));
    if (length < cmsgHeaderSize) break;
    if (control.getInt32(at + 8, true) === SOL_SOCKET && control.getInt32(at + 12, true) === SCM_RIGHTS) {
      for (let fd = at + cmsgHeaderSize; fd < at + length; fd += 4) fds.push(control.getInt32(fd, true));
    }
    at += (length + 7) & ~7;
  }
  return fds;
}

/** Writes to a unix socket and sends copies of descriptors along. Returns the bytes written; at least one is needed. */
export function sendFds(socketFd: number, data: Uint8Array, fds: readonly number[]): number {
  const action = `send to socket ${socketFd}`;
  if (fds.length > maxFds) {
    throw new RangeError(`Cannot ${action}: ${fds.length} descriptors at once, send at most ${maxFds}`);
  }
  const length = cmsgHeaderSize + fds.length * 4;
  const message = messageMemory(data, fds.length === 0 ? 0 : (length + 7) & ~7);
  message.control.setBigUint64(0, BigInt(length), true);
  message.control.setInt32(8, SOL_SOCKET, true);
  message.control.setInt32(12, SCM_RIGHTS, true);
  for (const [index, fd] of fds.entries()) message.control.setInt32(cmsgHeaderSize + index * 4, fd, true);
  return Number(
    checked(
      retryInterrupted(() => libc().sendmsg(socketFd, message.pointer, MSG_NOSIGNAL)),
      'sendmsg',
      action,
    ),
  );
}
