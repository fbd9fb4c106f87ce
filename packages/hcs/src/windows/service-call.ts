import { HcsError } from '@hcsshim/schema';
import type { ComputeApi } from '@hcsshim/windows';
import type { PendingOperations } from '../pending-operations.ts';
import { withUndo } from '../with-undo.ts';
import { serviceError } from './service-error.ts';

export interface ServiceCallOptions {
  /** What is being done and to what, to follow "Cannot". */
  action: string;
  signal?: AbortSignal | undefined;
  /** In milliseconds. */
  timeout: number;
  /** Gives the DLL to call; where there is none, this call fails for it. */
  api: () => ComputeApi;
  /** Where the call is listed while it is under way. */
  pending: PendingOperations;
  /** Id of the system that it is about, empty for the service itself. */
  subject: string;
}

/** A call that is under way. */
export interface RunningCall {
  action: string;
  api: ComputeApi;
  /** Aborts with the caller's signal, or in time. */
  deadline: AbortSignal;
}

/** A call of the Host Compute Service, of one step or more, with one deadline. Rejects with an HcsError. */
export function serviceCall<T>(
  { action, signal, timeout, api, pending, subject }: ServiceCallOptions,
  work: (call: RunningCall) => Promise<T>,
): Promise<T> {
  const options = { action: `Cannot ${action}`, signal, timeout, pending: () => pending.list(subject) };
  return withUndo(
    options,
    async (deadline) => {
      try {
        return await work({ action, deadline, api: api() });
      } catch (error) {
        throw deadline.aborted ? deadline.reason : serviceError(`Cannot ${action}`, error);
      }
    },
    (running) => pending.track(subject, action, running),
  );
}

/** A document of the service's. Throws ERROR_INVALID_DATA for one that is no JSON. */
export function parseAnswer(action: string, text: string | null): unknown {
  if (text === null || text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidAnswer(action, 'the answer of the Host Compute Service is no JSON', cause);
  }
}

/** The service has answered with what cannot be used. */
export function invalidAnswer(action: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({ action: `Cannot ${action}`, problem, code: 'ERROR_INVALID_DATA', cause });
}
