import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { checked, libc } from './libc.ts';

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_DOMAIN = 39;
const AF_UNIX = 1;

interface StreamHandle {
  open(fd: number): number;
}

interface HandleBindings {
  (name: 'tcp_wrap'): { TCP: new (type: number) => StreamHandle; constants: { SOCKET: number } };
  (name: 'pipe_wrap'): { Pipe: new (type: number) => StreamHandle; constants: { SOCKET: number } };
}

/**
 * A Node stream over any stream-like descriptor: a socket of any family (AF_VSOCK too), a pipe, a character
 * device such as a virtio port. The stream owns the descriptor from now on. `end()` shuts a socket down for
 * writing and leaves it open for reading unless `allowHalfOpen` is false.
 *
 * `new net.Socket({ fd })` refuses families that it does not know; the handles below it do not care.
 */
export function streamFromFd(fd: number, options: { allowHalfOpen?: boolean } = {}): Socket {
  // The only door to these handles: deprecated by documentation only (DEP0111), silent unless asked for.
  const { binding } = process as unknown as { binding: HandleBindings };
  let handle: StreamHandle;
  if (isNetworkSocket(fd)) {
    const { TCP, constants } = binding('tcp_wrap');
    handle = new TCP(constants.SOCKET);
  } else {
    const { Pipe, constants } = binding('pipe_wrap');
    handle = new Pipe(constants.SOCKET);
  }
  const error = handle.open(fd);
  if (error) throw new Error(`Cannot make a stream of descriptor ${fd}: libuv error ${error}`);
  return new Socket({
    handle,
    allowHalfOpen: options.allowHalfOpen ?? true,
    readable: true,
    writable: true,
  } as object);
}

function isNetworkSocket(fd: number): boolean {
  if (!fstatSync(fd).isSocket()) return false;
  const domain = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  checked(
    libc().getsockopt(fd, SOL_SOCKET, SO_DOMAIN, domain, length),
    'getsockopt',
    `ask for the family of socket ${fd}`,
  );
  return domain.readInt32LE() !== AF_UNIX;
}
