import type { HResultName } from '@hcsshim/schema';
import { hasCode } from './error-code.ts';

/** Answers to a signal that say that there is no such process any more (upstream `internal/hcs/process.go`). */
const noProcess: ReadonlySet<HResultName> = new Set<HResultName>([
  'HCS_E_INVALID_STATE',
  'HCS_E_SYSTEM_NOT_FOUND',
  'HCS_E_SYSTEM_ALREADY_STOPPED',
  'HCS_E_PROCESS_ALREADY_STOPPED',
  'ERROR_NOT_FOUND',
]);

/** Answers to the attempt to open a process that has ended. */
const hasEnded: ReadonlySet<HResultName> = new Set<HResultName>([
  'HCS_E_SYSTEM_ALREADY_STOPPED',
  'HCS_E_PROCESS_ALREADY_STOPPED',
  'ERROR_NOT_FOUND',
]);

/**
 * Answers to a kill that count as its success: of an open handle to a process that has ended Windows says that
 * access is denied (learn.microsoft.com, TerminateProcess), and to a second kill that it has stopped already.
 */
const isEnding: ReadonlySet<HResultName> = new Set<HResultName>([
  'E_ACCESSDENIED',
  'HCS_E_ACCESS_DENIED',
  ...hasEnded,
]);

export interface Delivery {
  delivered: boolean;
  /** The process should be gone. Why: the answer. */
  gone?: unknown;
}

/** What has become of a signal. Throws what says neither that it was delivered nor that nobody is there. */
export async function deliver(signalling: Promise<unknown>): Promise<Delivery> {
  try {
    await signalling;
    return { delivered: true };
  } catch (error) {
    if (hasCode(error, noProcess)) return { delivered: false, gone: error };
    throw error;
  }
}

export interface KillSteps<System, Process> {
  /** A handle of its own: signals to a process wait for one another per handle of its system. */
  openSystem(): Promise<System>;
  openProcess(system: System): Promise<Process>;
  terminate(process: Process): Promise<unknown>;
  /** What remains when the process cannot be reached. */
  terminateSystem(): Promise<void>;
}

/** Kills a process, by handles opened for that alone. */
export async function kill<System extends AsyncDisposable, Process extends AsyncDisposable>(
  steps: KillSteps<System, Process>,
): Promise<Delivery> {
  await using opened = new AsyncDisposableStack();
  let system: System;
  try {
    system = opened.use(await steps.openSystem());
  } catch {
    await steps.terminateSystem();
    return { delivered: true };
  }
  try {
    const process = opened.use(await steps.openProcess(system));
    return await deliver(steps.terminate(process).catch(unlessEnding));
  } catch (error) {
    if (hasCode(error, hasEnded)) return { delivered: true, gone: error };
    throw error;
  }
}

function unlessEnding(error: unknown): void {
  if (!hasCode(error, isEnding)) throw error;
}
