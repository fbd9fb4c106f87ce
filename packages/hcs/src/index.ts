export { HcsError, HResult, type HResultName, hresultName, isHcsError } from '@hcsshim/schema';
export type { CallOptions, ComputeService, ComputeSystem, SystemExit } from './compute-service.ts';
export { type DeadlineOptions, withDeadline } from './deadline.ts';
export { type Phase, phase, phaseChannel } from './phase.ts';
export { untilAborted } from './until-aborted.ts';
