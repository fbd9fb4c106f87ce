export { HcsError, HResult, type HResultName, hresultName, isHcsError } from '@hcsshim/schema';
export { closedHandleError } from './closed-handle-error.ts';
export type {
  ComputeProcess,
  ComputeProcessParameters,
  ConsoleSize,
  OpenProcessOptions,
  ProcessExit,
  SignalOptions,
} from './compute-process.ts';
export type {
  CallOptions,
  ComputeService,
  ComputeSystem,
  ContainerDocument,
  OpenSystemOptions,
  SystemExit,
} from './compute-service.ts';
export { type DeadlineOptions, withDeadline } from './deadline.ts';
export { operationTimeout, type TimeoutName } from './operation-timeout.ts';
export { PendingOperations } from './pending-operations.ts';
export { type Phase, phase, phaseChannel } from './phase.ts';
export { type StopOptions, type StoppedSystem, stopComputeSystem } from './stop-compute-system.ts';
export type { SystemEvent, SystemEventType } from './system-event.ts';
export { untilAborted } from './until-aborted.ts';
export { withUndo } from './with-undo.ts';
