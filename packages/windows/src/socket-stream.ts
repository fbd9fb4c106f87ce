import { Socket } from 'node:net';
import type { Handle } from './procedure.ts';

interface TcpBinding {
  TCP: new (type: number) => { open(socket: number): number };
  constants: { SOCKET: number };
}

/**
 * A stream over a connected socket of Winsock, of whichever family. The stream owns the socket once this has
 * returned; when it throws, the caller still does. `end()` shuts it down for writing and leaves it open for reading.
 *
 * Reads and writes are libuv's overlapped ones, on no thread of the pool. libuv asks a socket for nothing that
 * is TCP's own, so long as nobody calls `setNoDelay` or `setKeepAlive`.
 */
export function streamFromSocket(socket: Handle<'SOCKET'>): Socket {
  // The only door to these handles: deprecated by documentation only (DEP0111), silent unless asked for.
  const { binding } = process as unknown as { binding: (name: 'tcp_wrap') => TcpBinding };
  const { TCP, constants } = binding('tcp_wrap');
  const handle = new TCP(constants.SOCKET);
  const error = handle.open(Number(socket));
  if (error) throw new Error(`Cannot make a stream of socket ${socket}: libuv error ${error}`);
  return new Socket({ handle, allowHalfOpen: true, readable: true, writable: true } as object);
}
