import { beforeDeadline, type ComputeCall, orGiveBack } from './before-deadline.ts';
import { bind } from './bind.ts';
import type { ComputeApi, ComputeEventHandler, SystemOperation } from './compute-api.ts';
import {
  createComputeSystem,
  createProcess,
  discardComputeSystem,
  discardProcess,
  openComputeSystem,
  openProcess,
  type ProcessHandle,
  type SystemHandle,
  watchComputeSystem,
  watchProcess,
} from './compute-system.ts';
import { computecore } from './dlls/computecore.ts';
import { runOperation, runProcessOperation } from './operation.ts';
import type { Handle, HandleName } from './procedure.ts';

const systemProcedures = {
  start: 'HcsStartComputeSystem',
  shutdown: 'HcsShutDownComputeSystem',
  terminate: 'HcsTerminateComputeSystem',
  crash: 'HcsCrashComputeSystem',
  pause: 'HcsPauseComputeSystem',
  resume: 'HcsResumeComputeSystem',
  save: 'HcsSaveComputeSystem',
} as const satisfies Record<SystemOperation, keyof typeof computecore.procedures>;

const close = (handle: AsyncDisposable) => handle[Symbol.asyncDispose]();

/** The Host Compute Service by `computecore.dll`: operations with completions. */
export const computecoreApi: ComputeApi = {
  dll: computecore.file,

  createSystem: (id, configuration, call) => createComputeSystem(id, configuration, call),
  openSystem: (id, call) => orGiveBack(openComputeSystem(id), call, close),
  enumerateSystems: (query, call) =>
    runOperation(
      call.action,
      (operation) => bind(computecore).HcsEnumerateComputeSystems({ query, operation }),
      call,
    ),
  operateSystem: (system, name, options, call) =>
    onSystem(system, call, (inputs) => bind(computecore)[systemProcedures[name]]({ ...inputs, options })),
  systemProperties: (system, propertyQuery, call) =>
    onSystem(system, call, (inputs) =>
      bind(computecore).HcsGetComputeSystemProperties({ ...inputs, propertyQuery }),
    ),
  modifySystem: (system, configuration, call) =>
    onSystem(system, call, (inputs) =>
      bind(computecore).HcsModifyComputeSystem({ ...inputs, configuration }),
    ),
  discardSystem: discardComputeSystem,
  watchSystem: (system, onEvent: ComputeEventHandler) => watchComputeSystem(system, onEvent),

  createProcess: (system, parameters, call) => createProcess(system, parameters, call),
  discardProcess,
  openProcess: (system, processId, call) => orGiveBack(openProcess(system, processId), call, close),
  processInformation: (process, call) =>
    runProcessOperation(
      call.action,
      (operation) =>
        process.use((handle) => bind(computecore).HcsGetProcessInfo({ process: handle, operation })),
      call,
    ),
  processProperties: (process, call) =>
    onProcess(process, call, (inputs) => bind(computecore).HcsGetProcessProperties(inputs)),
  signalProcess: (process, options, call) =>
    onProcess(process, call, (inputs) => bind(computecore).HcsSignalProcess({ ...inputs, options })),
  terminateProcess: (process, call) =>
    onProcess(process, call, (inputs) => bind(computecore).HcsTerminateProcess(inputs)),
  modifyProcess: (process, settings, call) =>
    onProcess(process, call, (inputs) => bind(computecore).HcsModifyProcess({ ...inputs, settings })),
  watchProcess: (process, onEvent: ComputeEventHandler) => watchProcess(process, onEvent),

  async serviceProperties(propertyQuery, call) {
    call.signal?.throwIfAborted();
    const asked = bind(computecore).HcsGetServiceProperties({ propertyQuery });
    return (await beforeDeadline(asked, call)).result;
  },
  async modifyService(settings, call) {
    call.signal?.throwIfAborted();
    return (await beforeDeadline(bind(computecore).HcsModifyServiceSettings({ settings }), call)).result;
  },
};

type Begin<Name extends string, Kind extends HandleName> = (
  inputs: Record<Name, Handle<Kind>> & { operation: Handle<'HCS_OPERATION'> },
) => unknown;

function onSystem(system: SystemHandle, call: ComputeCall, begin: Begin<'computeSystem', 'HCS_SYSTEM'>) {
  return runOperation(
    call.action,
    (operation) => system.use((computeSystem) => begin({ computeSystem, operation })),
    call,
  );
}

function onProcess(process: ProcessHandle, call: ComputeCall, begin: Begin<'process', 'HCS_PROCESS'>) {
  return runOperation(
    call.action,
    (operation) => process.use((handle) => begin({ process: handle, operation })),
    call,
  );
}
