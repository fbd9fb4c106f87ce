import { readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
/** In milliseconds. */
const dyingPatience = 5_000;
const dyingPollInterval = 10;

/**
 * The `delete` verb: containerd runs it in a process of its own after every container, also after one that
 * ended well. Removes what a dead shim left: its VM, its socket, its state. A shim that lives is not
 * disturbed. Returns the DeleteResponse to print; a clean-up that failed is a warning, since containerd keeps
 * the bundle for ever when `delete` fails.
 */
export async function deleteShim(command: CommandLine, warn: (message: string) => void): Promise<Uint8Array> {
  const { id, bundle } = command;
  const socketPath = readSocketPath(command);
  if (!(await isServed(socketPath, bundle))) {
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

/**
 * Whether a shim lives that serves the container. The threads of one that was killed end one after another, and until
 * the last has, its socket takes connections: that is waited for.
 */
async function isServed(socketPath: string, bundle: string): Promise<boolean> {
  const deadline = Date.now() + dyingPatience;
  while (await isListening(socketPath)) {
    if (!isDying(bundle) || Date.now() > deadline) return true;
    await sleep(dyingPollInterval);
  }
  return false;
}

/** Whether the main thread of the bundle's shim has ended and nobody has collected the process yet. */
function isDying(bundle: string): boolean {
  try {
    const pid = Number.parseInt(readFileSync(join(bundle, bundleFile.shimPid), 'utf8'), 10);
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
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
