export type { ComputeCall, OperationOptions } from './before-deadline.ts';
export { bind } from './bind.ts';
export {
  type CallbackRoute,
  type CallbackTypes,
  type ComputeEvent,
  type Notification,
  openCallbackRoutes,
  routeCallback,
} from './callbacks.ts';
export type { ComputeApi, ComputeEventHandler, SystemOperation } from './compute-api.ts';
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
export { computecoreApi } from './computecore-api.ts';
export {
  type DeviceProperty,
  type DevicePropertyKey,
  deviceLocationPath,
  devicePropertyKeys,
  listChildDevices,
  readDeviceProperty,
} from './devices.ts';
export { DllCallError, type StatusKind } from './dll-call-error.ts';
export * from './dlls/index.ts';
export { EventWatch } from './event-watch.ts';
export { guidFromBytes, guidToBytes, newGuid } from './guid.ts';
export { streamFromHandle } from './handle-stream.ts';
export * from './job-object/index.ts';
export { MissingProcedureError } from './missing-procedure-error.ts';
export {
  type ConnectNamedPipeOptions,
  connectNamedPipe,
  type ListenNamedPipeOptions,
  listenNamedPipe,
  type NamedPipeListener,
} from './named-pipe.ts';
export { objectAttributes } from './object-attributes.ts';
export { type DirectoryEntry, listObjectDirectory } from './object-directory.ts';
export { runOperation, runProcessOperation } from './operation.ts';
export { OperationTimeoutError } from './operation-timeout-error.ts';
export { OwnedHandle } from './owned-handle.ts';
export { computeApi } from './pick-compute-api.ts';
export { readMemory, setPointer, wideString } from './pointers.ts';
export { listPortReservations, PortAccess, PortProtocol, type PortReservation } from './port-reservations.ts';
export { holdPrivileges } from './privileges.ts';
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
export * from './process/index.ts';
export { type ConsoleSize, PseudoConsole } from './pseudo-console.ts';
export { requireWindows } from './require-windows.ts';
export { streamFromSocket } from './socket-stream.ts';
export { struct } from './struct.ts';
export { vmcomputeApi } from './vmcompute-api.ts';
export { windowsBuild } from './windows-build.ts';
export { WindowsError } from './windows-error.ts';
