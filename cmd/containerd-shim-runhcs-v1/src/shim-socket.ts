import { existsSync, unlinkSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { defaultStateDirectory as stateDirectory } from '@hcsshim/engine/default-state-directory';

/** `sun_path` of Linux holds 108 bytes, one of them for the end. */
const longestPath = 107;

/** Where the shim keeps its sockets and where compute systems are registered: `$HCSSHIM_STATE`. */
export { stateDirectory };

/**
 * The socket of a shim: short, the same for the same container (or pod) of the same containerd, so that a
 * later `start` finds the shim that lives, or the stale socket of one that died.
 */
export function shimSocketPath(
  { address, namespace }: { address: string; namespace: string },
  group: string,
  state = stateDirectory(),
): string {
  const path = `${state}/s/${fnv1a64([address, namespace, group].join('\0'))}`;
  if (Buffer.byteLength(path) > longestPath) {
    throw new Error(
      `Cannot make a socket "${path}": its path is longer than ${longestPath} bytes, set HCSSHIM_STATE to a shorter directory`,
    );
  }
  return path;
}

/** The path in an address as containerd writes it, `unix:///run/…`. */
export function socketPathOf(address: string): string {
  return address.trim().replace(/^unix:\/\//, '');
}

/** True when a shim accepts connections at `path`. */
export async function isListening(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'));
  return promise.finally(() => socket.destroy());
}

/** Id of the compute system of a container that has a VM to itself. Upstream names it the same way. */
export function systemId(id: string): string {
  return `${id}@vm`;
}

/** True when the system of a container has an owner, or had one that died. */
export function isSystemRegistered(id: string): boolean {
  return existsSync(join(stateDirectory(), 'systems', systemId(id)));
}

/** Removes a socket file; one that has gone already is fine. */
export function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** FNV-1a with 64 bits, in hex. Names only have to differ; node:crypto would cost `start` 6 ms. */
function fnv1a64(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, '0');
}
