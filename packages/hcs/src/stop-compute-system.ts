import { HcsError, hasResult } from '@hcsshim/schema';
import type { CallOptions, ComputeSystem, SystemExit } from './compute-service.ts';
import { withDeadline } from './deadline.ts';

export interface StopOptions extends CallOptions {
  /**
   * How long the guest may take to shut down, in milliseconds; 0 leaves this rung out.
   * @default 30000
   */
  shutdownTimeout?: number | undefined;
  /**
   * How long the service may take to end what did not, in milliseconds.
   * @default 30000
   */
  terminateTimeout?: number | undefined;
}

export interface StoppedSystem {
  /** What ended it. `none`: it had ended before. */
  rung: 'none' | 'shutdown' | 'terminate';
  exit: SystemExit;
}

/** As long as upstream's shim waits on either rung. */
const defaultTimeout = 30_000;

/**
 * Stops a system: asks its guest to shut down and waits, then terminates it and waits. Each rung has a deadline,
 * and a rung that fails is an early end of the wait for it. When the last fails too, throws with the words of
 * all; the code is the last one's.
 */
export async function stopComputeSystem(
  system: ComputeSystem,
  { shutdownTimeout = defaultTimeout, terminateTimeout = defaultTimeout, signal }: StopOptions = {},
): Promise<StoppedSystem> {
  const failures: Error[] = [];
  const rungs = [
    { rung: 'shutdown', verb: 'shut down', timeout: shutdownTimeout },
    { rung: 'terminate', verb: 'terminate', timeout: terminateTimeout },
  ] as const;
  for (const { rung, verb, timeout } of rungs) {
    if (rung === 'shutdown' && timeout === 0) continue;
    const action = `Cannot ${verb} compute system "${system.id}"`;
    const pending = (): string[] => system.pendingOperations();
    try {
      return await withDeadline({ action, timeout, signal, pending }, async (deadline) => {
        const hadEnded = await asked(system[rung]({ signal: deadline }));
        const exit = await system.wait({ signal: deadline });
        return { rung: hadEnded ? 'none' : rung, exit };
      });
    } catch (error) {
      signal?.throwIfAborted();
      failures.push(error as Error);
    }
  }
  const last = failures.at(-1);
  throw new HcsError({
    action: `Cannot stop compute system "${system.id}"`,
    problem: failures.map(({ message }) => message).join('; '),
    code: last instanceof HcsError ? last.code : 'E_UNEXPECTED',
    cause: new AggregateError(failures),
  });
}

/** Whether the system had ended before it was asked to. */
async function asked(asking: Promise<void>): Promise<boolean> {
  try {
    await asking;
    return false;
  } catch (error) {
    if (hasResult(error, 'HCS_E_SYSTEM_ALREADY_STOPPED')) return true;
    throw error;
  }
}
