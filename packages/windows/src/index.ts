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
export { destroyLayer } from './destroy-layer.ts';
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
export { guidFromBytes, guidToBytes } from './guid.ts';
export { streamFromHandle } from './handle-stream.ts';
export * from './job-object/index.ts';
export { MissingProcedureError } from './missing-procedure-error.ts';
export { type DirectoryEntry, listObjectDirectory } from './object-directory.ts';
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
export * from './process/index.ts';
export { type ConsoleSize, PseudoConsole } from './pseudo-console.ts';
export { requireWindows } from './require-windows.ts';
export { type GenericRight, genericRights, grantVmGroupAccess } from './vm-group-access.ts';
export { windowsBuild } from './windows-build.ts';
export { WindowsError } from './windows-error.ts';
