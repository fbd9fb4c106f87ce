import { beforeDeadline, type ComputeCall, orGiveBack } from './before-deadline.ts';
import { bind } from './bind.ts';
import type { ComputeApi, SystemOperation } from './compute-api.ts';
import type { ProcessHandle, StartedProcess, SystemHandle } from './compute-system.ts';
import { DllCallError } from './dll-call-error.ts';
import { computecore } from './dlls/computecore.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { vmcompute } from './dlls/vmcompute.ts';
import { MissingProcedureError } from './missing-procedure-error.ts';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle, ProcessInformation } from './procedure.ts';
import { type CompletionName, Notifications } from './vmcompute-notifications.ts';

/** How long a system that nobody wants any more may take to end, in milliseconds. */
const discardTimeout = 5_000;

/** Asks for the base properties alone. hcsshim never leaves the query out. */
const noPropertyTypes = '{"PropertyTypes":[]}';

/** Operations that end with a completion of their own, unless the call ends them. */
const completedOperations = {
  start: { procedure: 'HcsStartComputeSystem', completion: 'SystemStartCompleted' },
  pause: { procedure: 'HcsPauseComputeSystem', completion: 'SystemPauseCompleted' },
  resume: { procedure: 'HcsResumeComputeSystem', completion: 'SystemResumeCompleted' },
  save: { procedure: 'HcsSaveComputeSystem', completion: 'SystemSaveCompleted' },
} as const satisfies Partial<
  Record<SystemOperation, { procedure: keyof typeof vmcompute.procedures; completion: CompletionName }>
>;

/** What belongs to a handle: they live and are closed together. */
const notifications = new WeakMap<object, Notifications>();

function notificationsOf(handle: SystemHandle | ProcessHandle): Notifications {
  const found = notifications.get(handle);
  if (found === undefined) throw new TypeError(`a handle "${handle.kind}" that "vmcompute.dll" did not give`);
  return found;
}

/**
 * The Host Compute Service by `vmcompute.dll`: each handle has a callback, registered as soon as there is a
 * handle, which tells the ends of calls that are pending. Calls cannot be cancelled; see {@link Notifications}
 * for those that were given up.
 */
export const vmcomputeApi: ComputeApi = {
  dll: vmcompute.file,

  async createSystem(id, configuration, call) {
    call.signal?.throwIfAborted();
    const begun = beginSystem(id, configuration);
    let system: SystemHandle | undefined;
    const work = begun.then(async (given) => {
      system = given.system;
      await given.created;
      return given.system;
    });
    try {
      return await beforeDeadline(work, call);
    } catch (error) {
      if (system === undefined) {
        begun.then((given) => giveUpSystem(given.system)).catch(() => {});
      } else if (error instanceof DllCallError) {
        await system.close();
      } else {
        await giveUpSystem(system);
      }
      throw error;
    }
  },

  openSystem(id, call) {
    const opening = bind(vmcompute)
      .HcsOpenComputeSystem({ id })
      .then(({ computeSystem }) => own(freshSystem(computeSystem)));
    return orGiveBack(opening, call, (system) => system.close());
  },

  async enumerateSystems(query, call) {
    const listing = bind(vmcompute).HcsEnumerateComputeSystems({ query: query ?? '{}' });
    return (await beforeDeadline(listing, call)).computeSystems;
  },

  async operateSystem(system, operation, options, call) {
    if (operation === 'crash') throw missingCrash();
    if (operation === 'shutdown') return shutdown(system, options, call);
    if (operation === 'terminate') return terminate(system, options, call);
    const { procedure, completion } = completedOperations[operation];
    return notificationsOf(system).run(completion, call, () =>
      system.use((computeSystem) => bind(vmcompute)[procedure]({ computeSystem, options: options ?? '' })),
    );
  },

  async systemProperties(system, query, call) {
    return notificationsOf(system).run('SystemGetPropertiesCompleted', call, async () => {
      const { pending, properties } = await system.use((computeSystem) =>
        bind(vmcompute).HcsGetComputeSystemProperties({
          computeSystem,
          propertyQuery: query ?? noPropertyTypes,
        }),
      );
      return { pending, result: properties };
    });
  },

  async modifySystem(system, configuration, call) {
    return notificationsOf(system).run('SystemModifyCompleted', call, () =>
      system.use((computeSystem) => bind(vmcompute).HcsModifyComputeSystem({ computeSystem, configuration })),
    );
  },

  async discardSystem(system) {
    const call = { action: 'terminate a compute system', timeout: discardTimeout };
    await terminate(system, null, call).catch(() => {});
  },

  async watchSystem(system, onEvent) {
    return notificationsOf(system).watch(onEvent);
  },

  createProcess(system, parameters, call) {
    return orGiveBack(startProcess(system, parameters), call, giveUpProcess);
  },

  async discardProcess(process) {
    const call = { action: 'terminate a process', timeout: discardTimeout };
    await vmcomputeApi.terminateProcess(process, call).catch(() => {});
  },

  openProcess(system, processId, call) {
    const opening = system
      .use((computeSystem) => bind(vmcompute).HcsOpenProcess({ computeSystem, processId }))
      .then(({ process }) => own(freshProcess(process)));
    return orGiveBack(opening, call, (process) => process.close());
  },

  async processInformation(process, call) {
    const asked = process.use((handle) => bind(vmcompute).HcsGetProcessInfo({ process: handle }));
    const { processInformation } = await orGiveBack(asked, call, (late) =>
      closePipes(late.processInformation),
    );
    return processInformation;
  },

  async processProperties(process, call) {
    const asked = process.use((handle) => bind(vmcompute).HcsGetProcessProperties({ process: handle }));
    return (await beforeDeadline(asked, call)).processProperties;
  },

  async signalProcess(process, options, call) {
    const asked = process.use((handle) => bind(vmcompute).HcsSignalProcess({ process: handle, options }));
    return (await beforeDeadline(asked, call)).result;
  },

  async terminateProcess(process, call) {
    const asked = process.use((handle) => bind(vmcompute).HcsTerminateProcess({ process: handle }));
    return (await beforeDeadline(asked, call)).result;
  },

  async modifyProcess(process, settings, call) {
    const asked = process.use((handle) => bind(vmcompute).HcsModifyProcess({ process: handle, settings }));
    return (await beforeDeadline(asked, call)).result;
  },

  async watchProcess(process, onEvent) {
    return notificationsOf(process).watch(onEvent);
  },

  async serviceProperties(query, call) {
    const asked = bind(vmcompute).HcsGetServiceProperties({ propertyQuery: query ?? '{}' });
    return (await beforeDeadline(asked, call)).properties;
  },

  async modifyService(settings, call) {
    return (await beforeDeadline(bind(vmcompute).HcsModifyServiceSettings({ settings }), call)).result;
  },
};

/** `created` settles when the system is there. */
async function beginSystem(
  id: string,
  configuration: string,
): Promise<{ system: SystemHandle; created: Promise<unknown> }> {
  const { computeSystem, pending } = await bind(vmcompute).HcsCreateComputeSystem({ id, configuration });
  const fresh = freshSystem(computeSystem);
  // Before the callback is registered, which tells at once of what has happened by then.
  const created = pending ? fresh.told.expect('SystemCreateCompleted') : Promise.resolve();
  const system = await own(fresh, () => bind(vmcompute).HcsTerminateComputeSystem({ computeSystem }));
  return { system, created };
}

async function giveUpSystem(system: SystemHandle): Promise<void> {
  await vmcomputeApi.discardSystem(system);
  await system.close();
}

/** A shutdown that is pending has been asked for; its end is an event. */
async function shutdown(system: SystemHandle, options: string | null, call: ComputeCall) {
  const asked = system.use((computeSystem) =>
    bind(vmcompute).HcsShutdownComputeSystem({ computeSystem, options: options ?? '' }),
  );
  return (await beforeDeadline(asked, call)).result;
}

/** A termination that is pending is complete when the system has exited. */
async function terminate(system: SystemHandle, options: string | null, call: ComputeCall) {
  const { exited } = notificationsOf(system);
  const asked = system
    .use((computeSystem) =>
      bind(vmcompute).HcsTerminateComputeSystem({ computeSystem, options: options ?? '' }),
    )
    .then(async ({ pending, result }) => {
      if (pending) await exited;
      return result;
    });
  return beforeDeadline(asked, call);
}

function missingCrash(): MissingProcedureError {
  const { file, build } = computecore;
  return new MissingProcedureError({ dll: file, procedure: 'HcsCrashComputeSystem', build, missing: 'dll' });
}

async function startProcess(system: SystemHandle, processParameters: string): Promise<StartedProcess> {
  const { process: value, processInformation } = await system.use((computeSystem) =>
    bind(vmcompute).HcsCreateProcess({ computeSystem, processParameters }),
  );
  const process = await own(freshProcess(value), async () => {
    closePipes(processInformation);
    await bind(vmcompute).HcsTerminateProcess({ process: value });
  });
  return { process, information: processInformation };
}

/** A process that nobody wants any more. */
async function giveUpProcess({ process, information }: StartedProcess): Promise<void> {
  closePipes(information);
  await process.use((handle) => bind(vmcompute).HcsTerminateProcess({ process: handle })).catch(() => {});
  await process.close();
}

function closePipes({ stdInput, stdOutput, stdError }: ProcessInformation): void {
  for (const object of [stdInput, stdOutput, stdError])
    if (object !== null) bind(kernel32).CloseHandle({ object });
}

/** A raw handle, how it closes, and the notifications that it can have. */
interface Fresh<Name extends 'HCS_SYSTEM' | 'HCS_PROCESS'> {
  kind: Name;
  value: Handle<Name>;
  told: Notifications;
  close(): Promise<unknown>;
}

function freshSystem(computeSystem: Handle<'HCS_SYSTEM'>): Fresh<'HCS_SYSTEM'> {
  const told = new Notifications({
    register: ({ callback, context }) =>
      bind(vmcompute).HcsRegisterComputeSystemCallback({ computeSystem, callback, context }),
    unregister: (callbackHandle) => bind(vmcompute).HcsUnregisterComputeSystemCallback({ callbackHandle }),
  });
  const close = () => bind(vmcompute).HcsCloseComputeSystem({ computeSystem });
  return { kind: 'HCS_SYSTEM', value: computeSystem, told, close };
}

function freshProcess(process: Handle<'HCS_PROCESS'>): Fresh<'HCS_PROCESS'> {
  const told = new Notifications({
    register: ({ callback, context }) =>
      bind(vmcompute).HcsRegisterProcessCallback({ process, callback, context }),
    unregister: (callbackHandle) => bind(vmcompute).HcsUnregisterProcessCallback({ callbackHandle }),
  });
  return {
    kind: 'HCS_PROCESS',
    value: process,
    told,
    close: () => bind(vmcompute).HcsCloseProcess({ process }),
  };
}

/**
 * Registers for notifications, which end before the handle closes. Without them it can do nothing, so `undo` is
 * done and the handle closed when that fails.
 */
async function own<Name extends 'HCS_SYSTEM' | 'HCS_PROCESS'>(
  { kind, value, told, close }: Fresh<Name>,
  undo: () => Promise<unknown> = async () => {},
): Promise<OwnedHandle<Name>> {
  try {
    await told.register();
  } catch (error) {
    // The error that ended it is the one to be told.
    await undo().catch(() => {});
    await close();
    throw error;
  }
  const owned = new OwnedHandle(kind, value, async () => {
    try {
      await told.close();
    } finally {
      await close();
    }
  });
  notifications.set(owned, told);
  return owned;
}
