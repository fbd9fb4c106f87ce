export { HcsError, HResult, type HResultName, hresultName, isHcsError } from '@hcsshim/schema';
export { closedHandleError } from './closed-handle-error.ts';
export type { CallOptions, ComputeService, ComputeSystem, SystemExit } from './compute-service.ts';
export { type DeadlineOptions, withDeadline } from './deadline.ts';
export { operationTimeout, type TimeoutName } from './operation-timeout.ts';
export { type Phase, phase, phaseChannel } from './phase.ts';
export { untilAborted } from './until-aborted.ts';
export { withUndo } from './with-undo.ts';
