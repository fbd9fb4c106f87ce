import type { OperationOptions } from './before-deadline.ts';
import { bind } from './bind.ts';
import { type CallbackRoute, type ComputeEvent, routeCallback } from './callbacks.ts';
import { DllCallError } from './dll-call-error.ts';
import { computecore } from './dlls/computecore.ts';
import { runOperation, runProcessOperation } from './operation.ts';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle, ProcessInformation } from './procedure.ts';

/** `HCS_EVENT_TYPE` (computedefs.h), and one that `vmcompute.dll` alone tells of. */
export const ComputeEventType = {
  Invalid: 0,
  SystemExited: 1,
  SystemCrashInitiated: 2,
  SystemCrashReport: 3,
  SystemRdpEnhancedModeStateChanged: 4,
  SystemSiloJobCreated: 5,
  SystemGuestConnectionClosed: 6,
  ProcessExited: 0x00010000,
  OperationCallback: 0x01000000,
  ServiceDisconnect: 0x02000000,
  /** Not Microsoft's number: there the notification 10. A system that was asked to shut down does not. */
  SystemShutdownFailed: 0x8000000a,
} as const;

/** `GENERIC_ALL` (winnt.h), the access that hcsshim asks for. */
const allAccess = 0x10000000;

export type SystemHandle = OwnedHandle<'HCS_SYSTEM'>;
export type ProcessHandle = OwnedHandle<'HCS_PROCESS'>;

/** How long a system that nobody wants any more may take to end, in milliseconds. */
const discardTimeout = 5_000;

/** Creates a system and waits until it is there. A failed creation leaves no handle, and one given up no system. */
export async function createComputeSystem(
  id: string,
  configuration: string,
  options: OperationOptions = {},
): Promise<SystemHandle> {
  let system: SystemHandle | undefined;
  try {
    await runOperation(
      `create compute system "${id}"`,
      async (operation) => {
        const { computeSystem } = await bind(computecore).HcsCreateComputeSystem({
          id,
          configuration,
          operation,
          securityDescriptor: null,
        });
        system = ownSystem(computeSystem);
      },
      options,
    );
    // The call has given a handle, or it would have thrown.
    return system as SystemHandle;
  } catch (error) {
    if (system !== undefined) {
      if (!(error instanceof DllCallError)) await discardComputeSystem(system);
      await system.close();
    }
    throw error;
  }
}

/**
 * Terminates a system that nobody wants any more, and waits a moment for that. Never rejects: there is somebody
 * who is to be told of something else.
 */
export async function discardComputeSystem(system: SystemHandle): Promise<void> {
  const terminate = (operation: Handle<'HCS_OPERATION'>) =>
    system.use((computeSystem) => bind(computecore).HcsTerminateComputeSystem({ computeSystem, operation }));
  await runOperation('terminate a compute system', terminate, { timeout: discardTimeout }).catch(() => {});
}

/** Opens a system that exists. */
export async function openComputeSystem(id: string): Promise<SystemHandle> {
  const { HcsOpenComputeSystem } = bind(computecore);
  const { computeSystem } = await HcsOpenComputeSystem({ id, requestedAccess: allAccess });
  return ownSystem(computeSystem);
}

/** A process that was started, and the pipes that its document asked for, which the caller closes. */
export interface StartedProcess {
  process: ProcessHandle;
  information: ProcessInformation;
}

/** Starts a process in a system. A failed start leaves no handle, and one given up no process. */
export async function createProcess(
  system: SystemHandle,
  processParameters: string,
  options: OperationOptions = {},
): Promise<StartedProcess> {
  let process: ProcessHandle | undefined;
  try {
    const information = await runProcessOperation(
      'create a process',
      (operation) =>
        system.use(async (computeSystem) => {
          const created = await bind(computecore).HcsCreateProcess({
            computeSystem,
            processParameters,
            operation,
            securityDescriptor: null,
          });
          process = ownProcess(created.process);
        }),
      options,
    );
    return { process: process as unknown as ProcessHandle, information };
  } catch (error) {
    if (process !== undefined) {
      if (!(error instanceof DllCallError)) await discardProcess(process);
      await process.close();
    }
    throw error;
  }
}

/** As {@link discardComputeSystem}, for a process. */
export async function discardProcess(process: ProcessHandle): Promise<void> {
  const terminate = (operation: Handle<'HCS_OPERATION'>) =>
    process.use((handle) => bind(computecore).HcsTerminateProcess({ process: handle, operation }));
  await runOperation('terminate a process', terminate, { timeout: discardTimeout }).catch(() => {});
}

/** Opens a process of a system by its id inside it. */
export async function openProcess(system: SystemHandle, processId: number): Promise<ProcessHandle> {
  const { process } = await system.use((computeSystem) =>
    bind(computecore).HcsOpenProcess({ computeSystem, processId, requestedAccess: allAccess }),
  );
  return ownProcess(process);
}

/**
 * Tells of a system's events from now on, until the route is disposed of. Once for each handle: the service
 * refuses a second time. After the handle's close nothing comes any more, so dispose of the route then.
 */
export async function watchComputeSystem(
  system: SystemHandle,
  onEvent: (event: ComputeEvent) => void,
): Promise<CallbackRoute> {
  return watch(onEvent, ({ context, callback }) =>
    system.use((computeSystem) =>
      bind(computecore).HcsSetComputeSystemCallback({ computeSystem, callbackOptions: 0, context, callback }),
    ),
  );
}

/** As {@link watchComputeSystem}, for a process. */
export async function watchProcess(
  process: ProcessHandle,
  onEvent: (event: ComputeEvent) => void,
): Promise<CallbackRoute> {
  return watch(onEvent, ({ context, callback }) =>
    process.use((handle) =>
      bind(computecore).HcsSetProcessCallback({ process: handle, callbackOptions: 0, context, callback }),
    ),
  );
}

async function watch(
  onEvent: (event: ComputeEvent) => void,
  subscribe: (route: CallbackRoute) => Promise<unknown>,
): Promise<CallbackRoute> {
  const route = routeCallback('HCS_EVENT_CALLBACK', onEvent);
  try {
    await subscribe(route);
    return route;
  } catch (error) {
    route[Symbol.dispose]();
    throw error;
  }
}

function ownSystem(value: Handle<'HCS_SYSTEM'>): SystemHandle {
  return new OwnedHandle('HCS_SYSTEM', value, (computeSystem) =>
    bind(computecore).HcsCloseComputeSystem({ computeSystem }),
  );
}

function ownProcess(value: Handle<'HCS_PROCESS'>): ProcessHandle {
  return new OwnedHandle('HCS_PROCESS', value, (process) => bind(computecore).HcsCloseProcess({ process }));
}
