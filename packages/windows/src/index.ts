export { bind } from './bind.ts';
export {
  type CallbackRoute,
  type CallbackTypes,
  type ComputeEvent,
  type Notification,
  openCallbackRoutes,
  routeCallback,
} from './callbacks.ts';
export {
  ComputeEventType,
  createComputeSystem,
  createProcess,
  discardComputeSystem,
  openComputeSystem,
  openProcess,
  type ProcessHandle,
  type StartedProcess,
  type SystemHandle,
  watchComputeSystem,
  watchProcess,
} from './compute-system.ts';
export { DllCallError, type StatusKind } from './dll-call-error.ts';
export * from './dlls/index.ts';
export { EventWatch } from './event-watch.ts';
export { guidFromBytes, guidToBytes } from './guid.ts';
export { streamFromHandle } from './handle-stream.ts';
export { MissingProcedureError } from './missing-procedure-error.ts';
export {
  type ConnectNamedPipeOptions,
  connectNamedPipe,
  type ListenNamedPipeOptions,
  listenNamedPipe,
  type NamedPipeListener,
} from './named-pipe.ts';
export { type OperationOptions, runOperation, runProcessOperation } from './operation.ts';
export { OperationTimeoutError } from './operation-timeout-error.ts';
export { OwnedHandle } from './owned-handle.ts';
export type {
  BoundDll,
  Dll,
  Handle,
  HandleName,
  Inputs,
  Memory,
  Outputs,
  ParameterKind,
  Procedure,
  ProcessInformation,
  ReturnKind,
} from './procedure.ts';
export { streamFromSocket } from './socket-stream.ts';
export { windowsBuild } from './windows-build.ts';
