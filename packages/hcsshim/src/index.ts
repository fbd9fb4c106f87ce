export type { NetworkService } from '@hcsshim/hcn';
export type { CallOptions, Phase, SystemExit } from '@hcsshim/hcs';
export { HcsError, isHcsError } from '@hcsshim/hcs';
export type { OciProcess, OciSpec } from '@hcsshim/schema';
export {
  hasResult,
  isAccessDenied,
  isAlreadyClosed,
  isAlreadyStopped,
  isInvalidState,
  isNotFound,
  isNotSupported,
  isPending,
  isTimeout,
} from '@hcsshim/schema';
export type { ImageConfig } from '@hcsshim/storage';
export type { GuestProcess, LinuxVmOptions, StdioRequest, TerminalSize, UtilityVm } from '@hcsshim/uvm';
export { type ContainerRecord, listContainers } from './control/container-record.ts';
export { execInContainer, type RemoteProcess, stopContainer } from './control/control-client.ts';
export { ControlServer } from './control/control-server.ts';
export { defaultProcess, defaultSpec, type ProcessOptions } from './default-spec.ts';
export { diagnose, type Finding } from './diagnosis.ts';
export { cacheDirectory, stateDirectory } from './directories.ts';
export { defaultEngine, type EngineName, engineNames, parseEngineName } from './engine-name.ts';
export { type ContainerExit, OwnedContainer } from './owned-container.ts';
export { type ContainerOptions, openPlatform, Platform, type PlatformOptions } from './platform.ts';
export type { PlatformServices, ServiceName, ServiceOptions } from './platform-services.ts';
export type {
  PlatformStorage,
  PrepareRootOptions,
  RootDisks,
  RootSource,
  Scratch,
} from './platform-storage.ts';
