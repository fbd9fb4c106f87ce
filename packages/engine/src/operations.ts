import { HcsError, type TimeoutName } from '@hcsshim/hcs';
import type { SystemState } from '@hcsshim/schema';

/** What a state must be for an operation, and what it is afterwards. The whole state machine is here. */
export interface Operation {
  from: readonly SystemState[];
  /** Absent when the operation leaves the state as it is. */
  to?: SystemState;
  /** Under which name its time limit can be set. */
  timeout?: TimeoutName;
}

export const operations = {
  start: { from: ['Created'], to: 'Running', timeout: 'SYSTEMSTART' },
  pause: { from: ['Running'], to: 'Paused', timeout: 'SYSTEMPAUSE' },
  resume: { from: ['Paused'], to: 'Running', timeout: 'SYSTEMRESUME' },
  shutdown: { from: ['Running'] },
  crash: { from: ['Running'] },
  modify: { from: ['Running'] },
  'connect to': { from: ['Running'] },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof operations;

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
