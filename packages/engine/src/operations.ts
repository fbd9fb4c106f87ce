import { HcsError } from '@hcsshim/hcs';
import type { SystemState } from '@hcsshim/schema';

/** What a state must be for an operation, and what it is afterwards. The whole state machine is here. */
export interface Operation {
  from: readonly SystemState[];
  /** Absent when the operation leaves the state as it is. */
  to?: SystemState;
  /** Under which name its time limit can be set. */
  timeout?: TimeoutName;
}

type TimeoutName = 'SYSTEMCREATE' | 'SYSTEMSTART' | 'SYSTEMPAUSE' | 'SYSTEMRESUME';

export const operations = {
  start: { from: ['Created'], to: 'Running', timeout: 'SYSTEMSTART' },
  pause: { from: ['Running'], to: 'Paused', timeout: 'SYSTEMPAUSE' },
  resume: { from: ['Paused'], to: 'Running', timeout: 'SYSTEMRESUME' },
  shutdown: { from: ['Running'] },
  modify: { from: ['Running'] },
  'connect to': { from: ['Running'] },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof operations;

const defaultTimeout = 4 * 60_000;

/**
 * Milliseconds that an operation may take: four minutes, or the whole seconds in `HCSSHIM_TIMEOUT_<NAME>`.
 * Source: upstream `internal/timeout`.
 */
export function operationTimeout(name?: TimeoutName, environment = process.env): number {
  const text = (name && environment[`HCSSHIM_TIMEOUT_${name}`]) ?? '';
  return /^[1-9]\d{0,5}$/.test(text) ? Number(text) * 1000 : defaultTimeout;
}

/** Throws unless the state allows the operation. */
export function requireState(id: string, name: OperationName, state: SystemState): void {
  const operation: Operation = operations[name];
  if (operation.from.includes(state)) return;
  throw new HcsError(
    state === 'Stopped'
      ? {
          action: `Cannot ${name} compute system "${id}"`,
          problem: 'it has ended',
          code: 'HCS_E_SYSTEM_ALREADY_STOPPED',
        }
      : {
          action: `Cannot ${name} compute system "${id}"`,
          problem: `it is ${state}, it must be ${operation.from.join(' or ')}`,
          code: 'HCS_E_INVALID_STATE',
        },
  );
}

/** For any call through a handle that its holder has closed. */
export function closedHandleError(verb: string, id: string): HcsError {
  return new HcsError({
    action: `Cannot ${verb} compute system "${id}"`,
    problem: 'this handle to it is closed, open another',
    code: 'ERROR_INVALID_HANDLE',
  });
}
