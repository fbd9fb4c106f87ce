import {
  HcsError,
  hresultName,
  type ModifySettingRequest,
  type PropertyQuery,
  type SystemProperties,
} from '@hcsshim/schema';
import { checkDocument } from '@hcsshim/schema/hcs';
import type { ResourceModificationRequestResponse } from '@hcsshim/schema/hcs-v1';
import {
  bind,
  type CallbackRoute,
  type ComputeEvent,
  ComputeEventType,
  computecore,
  DllCallError,
  discardComputeSystem,
  type SystemHandle,
  watchComputeSystem,
} from '@hcsshim/windows';
import { closedHandleError } from '../closed-handle-error.ts';
import type { CallOptions, ComputeSystem, SystemExit } from '../compute-service.ts';
import { operationTimeout, type TimeoutName } from '../operation-timeout.ts';
import { untilAborted } from '../until-aborted.ts';
import { exitOf, readExitDocument } from './exit-document.ts';
import { modificationText } from './modification-request.ts';
import { runServiceOperation, type ServiceCallOptions, serviceCall } from './service-call.ts';

interface Operation {
  procedure:
    | 'HcsStartComputeSystem'
    | 'HcsShutDownComputeSystem'
    | 'HcsTerminateComputeSystem'
    | 'HcsPauseComputeSystem'
    | 'HcsResumeComputeSystem';
  /** Under which name its time limit can be set. */
  timeout?: TimeoutName;
}

/** The calls that take a system and nothing more. */
const operations = {
  start: { procedure: 'HcsStartComputeSystem', timeout: 'SYSTEMSTART' },
  shutdown: { procedure: 'HcsShutDownComputeSystem' },
  terminate: { procedure: 'HcsTerminateComputeSystem' },
  pause: { procedure: 'HcsPauseComputeSystem', timeout: 'SYSTEMPAUSE' },
  resume: { procedure: 'HcsResumeComputeSystem', timeout: 'SYSTEMRESUME' },
} as const satisfies Record<string, Operation>;

type OperationName = keyof typeof operations;

/** A handle to a compute system of Windows. As long as it is open it keeps the process alive. */
export class WindowsComputeSystem implements ComputeSystem {
  readonly id: string;
  readonly runtimeId: string;
  readonly #handle: SystemHandle;
  /** As they were when the handle was opened. */
  readonly #baseProperties: SystemProperties;
  readonly #events: CallbackRoute;
  /** Rejects when the end will not be heard of any more. */
  readonly #exit: PromiseWithResolvers<SystemExit>;
  #closed: Promise<void> | undefined;

  private constructor(
    id: string,
    handle: SystemHandle,
    events: CallbackRoute,
    exit: PromiseWithResolvers<SystemExit>,
    properties: SystemProperties,
  ) {
    this.id = id;
    // A container that shares the host's kernel has no VM.
    this.runtimeId = properties.RuntimeId ?? '';
    this.#baseProperties = properties;
    this.#handle = handle;
    this.#events = events;
    this.#exit = exit;
  }

  /**
   * Takes a fresh handle over: subscribes to its events, then asks for its properties, so that an end between
   * the two is not missed. A failure closes the handle, and ends the system when it is new.
   */
  static async adopt(
    id: string,
    handle: SystemHandle,
    call: ServiceCallOptions,
    deadline: AbortSignal,
    { isNew = false }: { isNew?: boolean } = {},
  ): Promise<WindowsComputeSystem> {
    await using undo = new AsyncDisposableStack();
    undo.use(handle);
    if (isNew) undo.defer(() => discardComputeSystem(handle));
    const exit = Promise.withResolvers<SystemExit>();
    // Nobody has to wait for the end.
    exit.promise.catch(() => {});
    const events = undo.use(await watchComputeSystem(handle, (event) => settle(exit, id, event)));
    const properties = await readProperties(call, deadline, handle);
    if (properties.State === 'Stopped') exit.resolve(exitOf(properties));
    const system = new WindowsComputeSystem(id, handle, events, exit, properties);
    undo.move();
    return system;
  }

  async start(options: CallOptions = {}): Promise<void> {
    await this.#operate('start', options, async (begun, deadline) => {
      try {
        await begun;
      } catch (error) {
        // What a cancelled start leaves behind is not said anywhere, so none is left.
        if (deadline.aborted) await discardComputeSystem(this.#handle);
        throw error;
      }
    });
  }

  async shutdown(options: CallOptions = {}): Promise<void> {
    await this.#operate('shutdown', options);
  }

  async terminate(options: CallOptions = {}): Promise<void> {
    await this.#operate('terminate', options, async (begun, deadline) => {
      try {
        await begun;
      } catch (error) {
        if (hasEnded(error)) return;
        throw error;
      }
      await untilAborted(this.#exit.promise, deadline);
    });
  }

  async pause(options: CallOptions = {}): Promise<void> {
    await this.#operate('pause', options);
  }

  async resume(options: CallOptions = {}): Promise<void> {
    await this.#operate('resume', options);
  }

  async getProperties(query?: PropertyQuery, { signal }: CallOptions = {}): Promise<SystemProperties> {
    const call = this.#call('read properties of', signal);
    return serviceCall(call, async (deadline) => {
      try {
        return await readProperties(call, deadline, this.#handle, query);
      } catch (error) {
        if (!hasEnded(error)) throw error;
        // The service may refuse to tell of what has ended. What is left to say of it is known here.
        const { type } = await untilAborted(this.#exit.promise, deadline);
        return { ...this.#baseProperties, State: 'Stopped', Stopped: true, ExitType: type };
      }
    });
  }

  async modify(
    request: ModifySettingRequest | ResourceModificationRequestResponse,
    { signal }: CallOptions = {},
  ): Promise<void> {
    const call = this.#call('modify', signal);
    await serviceCall(call, async (deadline) => {
      const configuration = modificationText(request);
      await runServiceOperation(call, deadline, (operation) =>
        this.#handle.use((computeSystem) =>
          bind(computecore).HcsModifyComputeSystem({ computeSystem, operation, configuration }),
        ),
      );
    });
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
    const call = { action: `close compute system "${this.id}"`, timeout: operationTimeout() };
    try {
      await serviceCall(call, () => this.#handle.close());
    } finally {
      this.#events[Symbol.dispose]();
    }
  }

  /** @param complete What there is to do around the operation, which has begun. */
  async #operate(
    name: OperationName,
    { signal }: CallOptions,
    complete = async (begun: Promise<unknown>, _deadline: AbortSignal): Promise<void> => {
      await begun;
    },
  ): Promise<void> {
    const { procedure, timeout }: Operation = operations[name];
    const call = this.#call(name, signal, timeout);
    await serviceCall(call, (deadline) =>
      complete(
        runServiceOperation(call, deadline, (operation) =>
          this.#handle.use((computeSystem) => bind(computecore)[procedure]({ computeSystem, operation })),
        ),
        deadline,
      ),
    );
  }

  #call(verb: string, signal: AbortSignal | undefined, timeout?: TimeoutName): ServiceCallOptions {
    if (this.#closed) throw closedHandleError(verb, this.id);
    return { action: `${verb} compute system "${this.id}"`, signal, timeout: operationTimeout(timeout) };
  }
}

/** The base properties, and those that the query asks for. */
async function readProperties(
  call: ServiceCallOptions,
  deadline: AbortSignal,
  handle: SystemHandle,
  query?: PropertyQuery,
): Promise<SystemProperties> {
  const propertyQuery =
    query === undefined ? null : JSON.stringify(checkDocument('SystemPropertyQuery', query));
  const properties = await runServiceOperation(call, deadline, (operation) =>
    handle.use((computeSystem) =>
      bind(computecore).HcsGetComputeSystemProperties({ computeSystem, operation, propertyQuery }),
    ),
  );
  if (typeof properties === 'object' && properties !== null) return properties as SystemProperties;
  throw new HcsError({
    action: `Cannot ${call.action}`,
    problem: 'the Host Compute Service has not told its properties',
    code: 'ERROR_INVALID_DATA',
  });
}

function settle(exit: PromiseWithResolvers<SystemExit>, id: string, { type, data }: ComputeEvent): void {
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

/** The refusals of a system that has ended. */
function hasEnded(error: unknown): boolean {
  const code = error instanceof DllCallError ? hresultName(error.hresult) : undefined;
  return code === 'HCS_E_SYSTEM_ALREADY_STOPPED' || code === 'HCS_E_SYSTEM_NOT_FOUND';
}
