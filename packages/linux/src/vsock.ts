import { checked, closeFd, libc } from './libc.ts';
import { connectSocket, openStreamSocket, SocketListener } from './socket.ts';

const AF_VSOCK = 40;

/** Context ids with a meaning (`linux/vm_sockets.h`). */
export const VsockCid = { any: 0xffffffff, hypervisor: 0, local: 1, host: 2 } as const;

/** Any free port, when listening. */
export const vsockPortAny = 0xffffffff;

/**
 * Connects to a port of another VM or the host. The result is non-blocking and close-on-exec: give it to
 * `streamFromFd`, or to a process as its stdio. Fails with ECONNREFUSED or ECONNRESET when nothing listens,
 * ENODEV when there is no vsock device, ETIMEDOUT after the kernel's 2 s.
 */
export function connectVsock(
  cid: number,
  port: number,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<number> {
  return connectSocket(AF_VSOCK, address(cid, port), `connect to vsock ${cid}:${port}`, options);
}

/** @param options.backlog @default 128 */
export function listenVsock(
  cid: number,
  port: number,
  { backlog = 128 }: { backlog?: number } = {},
): SocketListener {
  const action = `listen on vsock ${cid}:${port}`;
  const fd = openStreamSocket(AF_VSOCK, action);
  try {
    const name = address(cid, port);
    checked(libc().bind(fd, name, name.length), 'bind', action);
    checked(libc().listen(fd, backlog), 'listen', action);
    return new SocketListener(fd, action);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/**
 * `struct sockaddr_vm`:
 *
 *     0       2          4      8     12      13      16
 *     family  reserved   port   cid   flags   zero
 */
function address(cid: number, port: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_VSOCK, 0);
  bytes.writeUInt32LE(port, 4);
  bytes.writeUInt32LE(cid, 8);
  return bytes;
}
