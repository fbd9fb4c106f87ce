import { HcsError } from '@hcsshim/schema';
import type { ComputeCall } from '@hcsshim/windows';
import { withUndo } from '../with-undo.ts';
import { serviceError } from './service-error.ts';

export interface ServiceCallOptions {
  /** What is being done and to what, to follow "Cannot". */
  action: string;
  signal?: AbortSignal | undefined;
  /** In milliseconds. */
  timeout: number;
}

/** A call of the Host Compute Service, of one step or more, with one deadline. Rejects with an HcsError. */
export async function serviceCall<T>(
  { action, signal, timeout }: ServiceCallOptions,
  work: (deadline: AbortSignal) => Promise<T>,
): Promise<T> {
  return withUndo({ action: `Cannot ${action}`, signal, timeout }, async (deadline) => {
    try {
      return await work(deadline);
    } catch (error) {
      throw deadline.aborted ? deadline.reason : serviceError(`Cannot ${action}`, error);
    }
  });
}

/** Makes one call within a {@link serviceCall}. Gives the document of its result, undefined where it has none. */
export async function runServiceOperation(
  { action, timeout }: ServiceCallOptions,
  deadline: AbortSignal,
  run: (call: ComputeCall) => Promise<string | null>,
): Promise<unknown> {
  const text = await run({ action, signal: deadline, timeout });
  deadline.throwIfAborted();
  return text === null || text === '' ? undefined : parse(action, text);
}

function parse(action: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HcsError({
      action: `Cannot ${action}`,
      problem: 'the answer of the Host Compute Service is no JSON',
      code: 'ERROR_INVALID_DATA',
      cause,
    });
  }
}
