import {
  bind,
  computecore,
  type Handle,
  type ProcessHandle,
  type ProcessInformation,
  runProcessOperation,
  type SystemHandle,
} from '@hcsshim/windows';
import { type RunningCall, runServiceOperation } from './service-call.ts';

/** Calls that take a system and a document, by what they do. */
const systemProcedures = {
  start: 'HcsStartComputeSystem',
  shutdown: 'HcsShutDownComputeSystem',
  terminate: 'HcsTerminateComputeSystem',
  crash: 'HcsCrashComputeSystem',
  pause: 'HcsPauseComputeSystem',
  resume: 'HcsResumeComputeSystem',
  save: 'HcsSaveComputeSystem',
} as const;

export type SystemCallName = keyof typeof systemProcedures;

const processProcedures = { signal: 'HcsSignalProcess', terminate: 'HcsTerminateProcess' } as const;

/**
 * The calls of `computecore.dll`, each with its document as text. All that is decided about them, before and
 * after, is elsewhere. Results are parsed JSON, undefined where there is none.
 */
export function callSystem(
  call: RunningCall,
  system: SystemHandle,
  name: SystemCallName,
  options: string | null = null,
): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    system.use((computeSystem) =>
      bind(computecore)[systemProcedures[name]]({ computeSystem, operation, options }),
    ),
  );
}

export function getSystemProperties(
  call: RunningCall,
  system: SystemHandle,
  propertyQuery: string | null,
): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    system.use((computeSystem) =>
      bind(computecore).HcsGetComputeSystemProperties({ computeSystem, operation, propertyQuery }),
    ),
  );
}

export function modifySystem(
  call: RunningCall,
  system: SystemHandle,
  configuration: string,
): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    system.use((computeSystem) =>
      bind(computecore).HcsModifyComputeSystem({ computeSystem, operation, configuration }),
    ),
  );
}

export function enumerateSystems(call: RunningCall, query: string): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    bind(computecore).HcsEnumerateComputeSystems({ query, operation }),
  );
}

export function callProcess(
  call: RunningCall,
  process: ProcessHandle,
  name: keyof typeof processProcedures,
  options: string | null = null,
): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    process.use((handle) =>
      bind(computecore)[processProcedures[name]]({ process: handle, operation, options }),
    ),
  );
}

export function getProcessProperties(call: RunningCall, process: ProcessHandle): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    process.use((handle) => bind(computecore).HcsGetProcessProperties({ process: handle, operation })),
  );
}

export function modifyProcess(call: RunningCall, process: ProcessHandle, settings: string): Promise<unknown> {
  return runServiceOperation(call, (operation) =>
    process.use((handle) => bind(computecore).HcsModifyProcess({ process: handle, operation, settings })),
  );
}

/** The pipes are new ones with each call, and the caller's. */
export function getProcessInformation(
  { action, timeout, deadline }: RunningCall,
  process: ProcessHandle,
): Promise<ProcessInformation> {
  return runProcessOperation(
    action,
    (operation: Handle<'HCS_OPERATION'>) =>
      process.use((handle) => bind(computecore).HcsGetProcessInfo({ process: handle, operation })),
    { signal: deadline, timeout },
  );
}

export async function getServiceProperties(propertyQuery: string): Promise<string | null> {
  return (await bind(computecore).HcsGetServiceProperties({ propertyQuery })).result;
}

export async function modifyServiceSettings(settings: string): Promise<string | null> {
  return (await bind(computecore).HcsModifyServiceSettings({ settings })).result;
}
