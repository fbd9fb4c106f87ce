import { checked, closeFd, libc } from './libc.ts';
import { connectSocket, openStreamSocket, SocketListener } from './socket.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const pathCapacity = 108;

/** Connects to a unix socket. The result is non-blocking and close-on-exec. */
export async function connectUnix(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<number> {
  const action = `connect to "${path}"`;
  return connectSocket(AF_UNIX, address(path, action), action, options);
}

/**
 * Listens on a unix socket whose connections are wanted as descriptors (Node's `net` hides them, and with them
 * the descriptors that arrive by SCM_RIGHTS). The file must not exist; it is left behind on close.
 *
 * @param options.backlog @default 128
 */
export function listenUnix(path: string, { backlog = 128 }: { backlog?: number } = {}): SocketListener {
  const action = `listen on "${path}"`;
  const name = address(path, action);
  const fd = openStreamSocket(AF_UNIX, action);
  try {
    checked(libc().bind(fd, name, name.length), 'bind', action);
    checked(libc().listen(fd, backlog), 'listen', action);
    return new SocketListener(fd, action);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Two connected unix stream sockets, blocking and close-on-exec. */
export function openSocketPair(): [number, number] {
  const pair = Buffer.alloc(8);
  checked(
    libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
    'socketpair',
    'make a pair of sockets',
  );
  return [pair.readInt32LE(0), pair.readInt32LE(4)];
}

/** `struct sockaddr_un`: the family, then the path with its NUL. */
function address(path: string, action: string): Uint8Array {
  const bytes = Buffer.from(`\0\0${path}\0`);
  if (bytes.length > 2 + pathCapacity) {
    throw new RangeError(
      `Cannot ${action}: the path has ${bytes.length - 3} bytes, use one of at most ${pathCapacity - 1}`,
    );
  }
  bytes.writeUInt16LE(AF_UNIX, 0);
  return bytes;
}
