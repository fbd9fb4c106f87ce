import { readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFile } from './bundle.ts';
import type { CommandLine } from './command-line.ts';
import { encodeDeleteResponse } from './delete-response.ts';
import {
  isListening,
  removeSocket,
  shimSocketPath,
  socketPathOf,
  stateDirectory,
  systemId,
} from './shim-socket.ts';

/** What a process gets that is killed by SIGKILL; nobody knows better when the shim has died. */
const exitStatusOfKilled = 128 + 9;

/**
 * The `delete` verb: containerd runs it in a process of its own after every container, also after one that
 * ended well. Removes what a dead shim left: its VM, its socket, its state. A shim that lives is not
 * disturbed. Returns the DeleteResponse to print; a clean-up that failed is a warning, since containerd keeps
 * the bundle for ever when `delete` fails.
 */
export async function deleteShim(command: CommandLine, warn: (message: string) => void): Promise<Uint8Array> {
  const { id, bundle } = command;
  const socketPath = readSocketPath(command);
  if (!(await isListening(socketPath))) {
    try {
      await sweepSystem(id);
      removeSocket(socketPath);
    } catch (error) {
      warn(
        `Cannot clean up after container "${id}": ${(error as Error).message}, "hcsshim doctor" tries again`,
      );
    }
  }
  const pid = readInitPid(bundle);
  rmSync(join(bundle, bundleFile.initPid), { force: true });
  return encodeDeleteResponse({ pid, exitStatus: exitStatusOfKilled, exitedAt: new Date() });
}

/** The engine's code is loaded only when the system is still registered, or one was left half made. */
async function sweepSystem(id: string): Promise<void> {
  const state = stateDirectory();
  if (!namesOfSystems(state).some((name) => name === systemId(id) || name.startsWith('.'))) return;
  const { sweep } = await import('@hcsshim/engine/sweep');
  await sweep({ ids: [systemId(id)], stateDirectory: state });
}

function namesOfSystems(state: string): string[] {
  try {
    return readdirSync(join(state, 'systems'));
  } catch {
    return [];
  }
}

function readSocketPath(command: CommandLine): string {
  try {
    return socketPathOf(readFileSync(join(command.bundle, bundleFile.address), 'utf8'));
  } catch {
    return shimSocketPath(command, command.id);
  }
}

function readInitPid(bundle: string): number {
  try {
    return Number.parseInt(readFileSync(join(bundle, bundleFile.initPid), 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}

/** Writes the whole response to standard output, which is all that containerd reads there. */
export function printResponse(response: Uint8Array): void {
  writeSync(1, response);
}
