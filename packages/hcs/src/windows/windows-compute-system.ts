import {
  type ExitType,
  HcsError,
  type ModifySettingRequest,
  type PropertyQuery,
  type SystemProperties,
  type SystemStatistics,
} from '@hcsshim/schema';
import {
  type CrashOptions,
  checkDocument,
  type SaveOptions,
  type SystemExitStatus,
  type SystemPropertyQuery,
} from '@hcsshim/schema/hcs';
import {
  type ContainerProperties,
  checkDocument as checkV1,
  findFault as findV1Fault,
  type PropertyQuery as PropertyQueryV1,
  type ResourceModificationRequestResponse,
} from '@hcsshim/schema/hcs-v1';
import {
  type ComputeApi,
  type ComputeEvent,
  ComputeEventType,
  type SystemHandle,
  windowsBuild,
} from '@hcsshim/windows';
import { closedHandleError } from '../closed-handle-error.ts';
import type { ComputeProcess, ComputeProcessParameters, OpenProcessOptions } from '../compute-process.ts';
import type { CallOptions, ComputeSystem, OpenSystemOptions, SystemExit } from '../compute-service.ts';
import { operationTimeout, type TimeoutName } from '../operation-timeout.ts';
import type { PendingOperations } from '../pending-operations.ts';
import { untilAborted } from '../until-aborted.ts';
import {
  callSystem,
  computeCall,
  getProcessInformation,
  getSystemProperties,
  modifySystem,
  type SystemCallName,
} from './api-calls.ts';
import { hasCode, systemHasEnded } from './error-code.ts';
import { exitOf, readExitDocument } from './exit-document.ts';
import { modificationText } from './modification-request.ts';
import { destroyStreams, noStreams, openStreams } from './process-streams.ts';
import { invalidAnswer, type RunningCall, type ServiceCallOptions, serviceCall } from './service-call.ts';
import {
  isContainer,
  type StartTime,
  siloStatistics,
  startTimeNow,
  withoutStatistics,
} from './silo-statistics.ts';
import { systemEvent } from './system-events.ts';
import { WindowsProcess } from './windows-process.ts';

/** Under which name the time limit of a call can be set. */
const timeouts: Partial<Record<SystemCallName, TimeoutName>> = {
  start: 'SYSTEMSTART',
  pause: 'SYSTEMPAUSE',
  resume: 'SYSTEMRESUME',
  save: 'SYSTEMSAVE',
};

export interface AdoptOptions extends Pick<OpenSystemOptions, 'onEvent'> {
  pending: PendingOperations;
  /** @default false */
  isNew?: boolean;
}

/** A handle to a compute system of Windows. As long as it is open it keeps the process alive. */
export class WindowsComputeSystem implements ComputeSystem {
  readonly id: string;
  readonly runtimeId: string;
  readonly #api: ComputeApi;
  readonly #handle: SystemHandle;
  readonly #pending: PendingOperations;
  /** As they were when the handle was opened. */
  readonly #baseProperties: SystemProperties;
  readonly #events: Disposable;
  /** Rejects when the end will not be heard of any more. */
  readonly #exit: PromiseWithResolvers<SystemExit>;
  /** Those whose end is not known yet. */
  readonly #processes = new Set<WindowsProcess>();
  /** Of a system that was started by this handle. */
  #started: StartTime | undefined;
  #hasEnded = false;
  #closed: Promise<void> | undefined;

  private constructor(
    id: string,
    api: ComputeApi,
    handle: SystemHandle,
    pending: PendingOperations,
    events: Disposable,
    exit: PromiseWithResolvers<SystemExit>,
    properties: SystemProperties,
  ) {
    this.id = id;
    // A container that shares the host's kernel has no VM.
    this.runtimeId = properties.RuntimeId ?? '';
    this.#baseProperties = properties;
    this.#api = api;
    this.#handle = handle;
    this.#pending = pending;
    this.#events = events;
    this.#exit = exit;
    exit.promise.then(
      ({ reason }) => {
        this.#hasEnded = true;
        for (const process of this.#processes) process.systemHasEnded(reason);
      },
      () => {},
    );
  }

  /**
   * Takes a fresh handle over: subscribes to its events, then asks for its properties, so that an end between
   * the two is not missed. A failure closes the handle, and ends the system when it is new.
   */
  static async adopt(
    id: string,
    handle: SystemHandle,
    call: RunningCall,
    { pending, onEvent, isNew = false }: AdoptOptions,
  ): Promise<WindowsComputeSystem> {
    await using undo = new AsyncDisposableStack();
    undo.use(handle);
    if (isNew) undo.defer(() => call.api.discardSystem(handle));
    const exit = Promise.withResolvers<SystemExit>();
    // Nobody has to wait for the end.
    exit.promise.catch(() => {});
    const route = await call.api.watchSystem(handle, (event) => {
      settle(exit, id, event);
      const told = systemEvent(event);
      if (told !== undefined) onEvent?.(told);
    });
    const events = undo.use(route);
    const properties = await readProperties(call, handle);
    if (properties.State === 'Stopped') exit.resolve(exitOf(properties as SystemExitStatus));
    const system = new WindowsComputeSystem(id, call.api, handle, pending, events, exit, properties);
    undo.move();
    return system;
  }

  async start({ signal }: CallOptions = {}): Promise<void> {
    await serviceCall(this.#callNamed('start', signal), async (call) => {
      try {
        await callSystem(call, this.#handle, 'start');
      } catch (error) {
        // What a cancelled start leaves behind is not said anywhere, so none is left.
        if (call.deadline.aborted) await call.api.discardSystem(this.#handle);
        throw error;
      }
      this.#started = startTimeNow();
    });
  }

  async shutdown({ signal }: CallOptions = {}): Promise<void> {
    await this.#operate('shutdown', signal);
  }

  async terminate({ signal }: CallOptions = {}): Promise<void> {
    await serviceCall(this.#callNamed('terminate', signal), async (call) => {
      try {
        await callSystem(call, this.#handle, 'terminate');
      } catch (error) {
        if (hasCode(error, systemHasEnded)) return;
        throw error;
      }
      await untilAborted(this.#exit.promise, call.deadline);
    });
  }

  async pause({ signal }: CallOptions = {}): Promise<void> {
    await this.#operate('pause', signal);
  }

  async resume({ signal }: CallOptions = {}): Promise<void> {
    await this.#operate('resume', signal);
  }

  async save(document: SaveOptions, { signal }: CallOptions = {}): Promise<void> {
    await this.#operate('save', signal, () => JSON.stringify(checkDocument('SaveOptions', document)));
  }

  async crash(document: CrashOptions = {}, { signal }: CallOptions = {}): Promise<void> {
    await this.#operate('crash', signal, () => JSON.stringify(checkDocument('CrashOptions', document)));
  }

  async getProperties(query?: PropertyQuery, { signal }: CallOptions = {}): Promise<SystemProperties> {
    return serviceCall(this.#call('read properties of', signal), async (call) => {
      const checked = query === undefined ? undefined : checkDocument('SystemPropertyQuery', query);
      const read = (asked: SystemPropertyQuery | undefined): Promise<SystemProperties> => {
        const text = asked === undefined ? null : JSON.stringify(asked);
        return this.#orAfterTheEnd(call, readProperties(call, this.#handle, text), (ended) => ended);
      };
      const Statistics = this.#isInSilo(checked) ? await this.#siloStatistics() : undefined;
      if (Statistics === undefined) return await read(checked);
      const rest = withoutStatistics(checked ?? {});
      // A container that shares the host's kernel cannot be paused.
      const others = rest === undefined ? { ...this.#baseProperties, State: 'Running' as const } : read(rest);
      return { ...(await others), Statistics };
    });
  }

  /** Whether a query asks for what the silo of a container that runs may tell. */
  #isInSilo(query: SystemPropertyQuery | undefined): boolean {
    if (!query?.PropertyTypes?.includes('Statistics')) return false;
    return !this.#hasEnded && isContainer(this.#baseProperties);
  }

  async #siloStatistics(): Promise<SystemStatistics | undefined> {
    // Since when a system runs is known to who has started it, and to the service.
    if (this.#started === undefined) return undefined;
    const statistics = await siloStatistics(this.id, this.#started);
    return this.#hasEnded ? undefined : statistics;
  }

  async getPropertiesV1(query?: PropertyQueryV1, { signal }: CallOptions = {}): Promise<ContainerProperties> {
    return serviceCall(this.#call('read properties of', signal), async (call) => {
      const text = query === undefined ? null : JSON.stringify(checkV1('PropertyQuery', query));
      const reading = readProperties(call, this.#handle, text).then((properties) => {
        const fault = findV1Fault('ContainerProperties', properties, { allowUnknownFields: true });
        if (fault === undefined) return properties as ContainerProperties;
        throw invalidAnswer(
          call.action,
          `"${fault.path}" in the answer of the Host Compute Service ${fault.problem}`,
        );
      });
      return this.#orAfterTheEnd(call, reading, ({ Id, SystemType, Owner, RuntimeId, State, ExitType }) => ({
        ...{ Id, SystemType, Owner, RuntimeId, State, Stopped: true },
        ...(ExitType === undefined ? {} : { ExitType }),
      }));
    });
  }

  async modify(
    request: ModifySettingRequest | ResourceModificationRequestResponse,
    { signal }: CallOptions = {},
  ): Promise<void> {
    await serviceCall(this.#call('modify', signal), async (call) => {
      await modifySystem(call, this.#handle, modificationText(request));
    });
  }

  async createProcess(
    parameters: ComputeProcessParameters,
    { signal }: CallOptions = {},
  ): Promise<ComputeProcess> {
    return serviceCall(this.#call('create a process in', signal), async (call) => {
      const text = processDocument(parameters);
      const { process, information } = await call.api.createProcess(this.#handle, text, computeCall(call));
      await using undo = new AsyncDisposableStack();
      undo.use(process);
      undo.defer(() => call.api.discardProcess(process));
      const streams = undo.adopt(openStreams(information), destroyStreams);
      const adopted = await this.#adoptProcess(call, {
        pid: information.processId,
        handle: process,
        streams,
      });
      undo.move();
      return adopted;
    });
  }

  async openProcess(
    pid: number,
    { signal, stdio = false }: OpenProcessOptions = {},
  ): Promise<ComputeProcess> {
    return serviceCall(this.#call(`open process ${pid} of`, signal), async (call) => {
      await using undo = new AsyncDisposableStack();
      const handle = undo.use(await call.api.openProcess(this.#handle, pid, computeCall(call)));
      const opened = stdio ? openStreams(await getProcessInformation(call, handle)) : noStreams;
      const streams = undo.adopt(opened, destroyStreams);
      const adopted = await this.#adoptProcess(call, { pid, handle, streams });
      undo.move();
      return adopted;
    });
  }

  pendingOperations(): string[] {
    return this.#pending.list(this.id);
  }

  async wait({ signal }: CallOptions = {}): Promise<SystemExit> {
    if (this.#closed) throw closedHandleError('wait for', this.id);
    return untilAborted(this.#exit.promise, signal);
  }

  /** Who still waits for the end gets ERROR_INVALID_HANDLE: without a handle it is not told. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    this.#exit.reject(closedHandleError('wait for', this.id));
    try {
      await serviceCall(this.#callOptions('close', undefined), () => this.#handle.close());
    } finally {
      this.#events[Symbol.dispose]();
    }
  }

  /** @param options Makes the document of the call. */
  async #operate(
    name: SystemCallName,
    signal: AbortSignal | undefined,
    options = (): string | null => null,
  ): Promise<void> {
    await serviceCall(this.#callNamed(name, signal), async (call) => {
      await callSystem(call, this.#handle, name, options());
    });
  }

  /**
   * The service may refuse to tell of a system that has ended. What is left to say of it is known here.
   *
   * @param shape Makes an answer of the properties that are known.
   */
  async #orAfterTheEnd<T>(
    call: RunningCall,
    reading: Promise<T>,
    shape: (ended: SystemProperties & { ExitType: ExitType }) => T,
  ): Promise<T> {
    try {
      return await reading;
    } catch (error) {
      if (!hasCode(error, systemHasEnded)) throw error;
      const { type } = await untilAborted(this.#exit.promise, call.deadline);
      return shape({ ...this.#baseProperties, State: 'Stopped', Stopped: true, ExitType: type });
    }
  }

  async #adoptProcess(
    call: RunningCall,
    opened: Parameters<typeof WindowsProcess.adopt>[1],
  ): Promise<WindowsProcess> {
    const adopted = await WindowsProcess.adopt(
      {
        id: this.id,
        api: this.#api,
        pending: this.#pending,
        terminate: (signal) => this.terminate({ signal }),
        forget: (process) => this.#processes.delete(process),
      },
      opened,
      call,
    );
    this.#processes.add(adopted);
    return adopted;
  }

  #callNamed(name: SystemCallName, signal: AbortSignal | undefined): ServiceCallOptions {
    return this.#call(name, signal, timeouts[name]);
  }

  #call(verb: string, signal: AbortSignal | undefined, timeout?: TimeoutName): ServiceCallOptions {
    if (this.#closed) throw closedHandleError(verb, this.id);
    return this.#callOptions(verb, signal, timeout);
  }

  #callOptions(verb: string, signal: AbortSignal | undefined, timeout?: TimeoutName): ServiceCallOptions {
    return {
      action: `${verb} compute system "${this.id}"`,
      signal,
      timeout: operationTimeout(timeout),
      api: () => this.#api,
      pending: this.#pending,
      subject: this.id,
    };
  }
}

/** The base properties, and those that the query asks for. */
async function readProperties(
  call: RunningCall,
  handle: SystemHandle,
  query: string | null = null,
): Promise<SystemProperties> {
  const properties = await getSystemProperties(call, handle, query);
  if (typeof properties === 'object' && properties !== null) return properties as SystemProperties;
  throw invalidAnswer(call.action, 'the Host Compute Service has not told its properties');
}

/** What schema 2 does not know of a process is the guest agent's, and goes to it as it is. */
function processDocument(parameters: ComputeProcessParameters): string {
  const {
    CreateInUtilityVm: _,
    OCIProcess: _process,
    OCISpecification: _specification,
    ...known
  } = parameters;
  const build = windowsBuild();
  checkDocument('ProcessParameters', known, build === undefined ? {} : { build });
  return JSON.stringify(parameters);
}

function settle(
  exit: PromiseWithResolvers<SystemExit>,
  id: string,
  { type, data }: Pick<ComputeEvent, 'type' | 'data'>,
): void {
  if (type === ComputeEventType.SystemExited) exit.resolve(readExitDocument(data));
  if (type === ComputeEventType.ServiceDisconnect) {
    exit.reject(
      new HcsError({
        action: `Cannot wait for compute system "${id}"`,
        problem: 'the Host Compute Service has ended, open the system again',
        code: 'HCS_E_SERVICE_DISCONNECT',
      }),
    );
  }
}
