import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { HcsError } from '@hcsshim/schema';
import { checkDocument, type ProcessModifyRequest, type ProcessStatus } from '@hcsshim/schema/hcs';
import { type ComputeApi, type ComputeEvent, ComputeEventType, type ProcessHandle } from '@hcsshim/windows';
import { closedError } from '../closed-handle-error.ts';
import type { ComputeProcess, ConsoleSize, ProcessExit, SignalOptions } from '../compute-process.ts';
import type { CallOptions } from '../compute-service.ts';
import { operationTimeout } from '../operation-timeout.ts';
import type { PendingOperations } from '../pending-operations.ts';
import { untilAborted } from '../until-aborted.ts';
import {
  computeCall,
  getProcessProperties,
  modifyProcess,
  signalProcess,
  terminateProcess,
} from './api-calls.ts';
import { ProcessEnd } from './process-end.ts';
import { type Delivery, deliver, kill } from './process-signals.ts';
import { exitOfStatus, readProcessStatus, unknownExit } from './process-status.ts';
import { destroyStreams, type ProcessStreams } from './process-streams.ts';
import { invalidAnswer, type RunningCall, type ServiceCallOptions, serviceCall } from './service-call.ts';

/** What a process needs of the system that it is in. */
export interface ProcessSystem {
  readonly id: string;
  readonly api: ComputeApi;
  readonly pending: PendingOperations;
  terminate(signal: AbortSignal): Promise<void>;
  /** The process's end is known, or its handle is closed: it need not be told of the system's end any more. */
  forget(process: WindowsProcess): void;
}

/** A handle to a process, and what was opened with it. */
export interface OpenedProcess {
  pid: number;
  handle: ProcessHandle;
  streams: ProcessStreams;
}

/** A handle to a process of Windows' service. As long as it is open it keeps this process alive. */
export class WindowsProcess implements ComputeProcess {
  readonly pid: number;
  readonly systemId: string;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly #system: ProcessSystem;
  readonly #handle: ProcessHandle;
  readonly #streams: ProcessStreams;
  readonly #events: Disposable;
  readonly #end: ProcessEnd;
  #wasKilled = false;
  #closed: Promise<void> | undefined;

  private constructor(system: ProcessSystem, opened: OpenedProcess, events: Disposable, end: ProcessEnd) {
    this.pid = opened.pid;
    this.systemId = system.id;
    this.#system = system;
    this.#handle = opened.handle;
    this.#streams = opened.streams;
    ({ stdin: this.stdin, stdout: this.stdout, stderr: this.stderr } = opened.streams);
    this.#events = events;
    this.#end = end;
  }

  /**
   * Takes a fresh handle over: subscribes to its events, then asks for its state, so that an end between the two
   * is not missed. A failure leaves the handle to the caller.
   */
  static async adopt(
    system: ProcessSystem,
    opened: OpenedProcess,
    call: RunningCall,
  ): Promise<WindowsProcess> {
    const { handle, pid } = opened;
    const what = processName(system.id, pid);
    using undo = new DisposableStack();
    const end = undo.use(new ProcessEnd());
    const askForEnd = (): void => {
      const options = callOptions(system, `wait for ${what}`, undefined);
      void serviceCall(options, async (asking) => {
        const status = await readProperties(asking, handle);
        end.tell(exitOfStatus(status) ?? unknownExit('the Host Compute Service says that it still runs'));
      }).catch((error: Error) => end.tell(unknownExit(error.message)));
    };
    const events = undo.use(
      await call.api.watchProcess(handle, (event) => settle(end, what, event, askForEnd)),
    );
    const exit = exitOfStatus(await readProperties(call, handle));
    if (exit !== undefined) end.tell(exit);
    undo.move();
    const process = new WindowsProcess(system, opened, events, end);
    void end.promise.then(
      () => system.forget(process),
      () => system.forget(process),
    );
    return process;
  }

  async closeStdin({ signal }: CallOptions = {}): Promise<void> {
    await serviceCall(this.#call('close the standard input of', signal), async (call) => {
      if (this.stdin !== null) await this.#flush(this.stdin, call.deadline);
      if (this.#end.isTold) return;
      const settings = JSON.stringify({ Operation: 'CloseHandle', CloseHandle: { Handle: 'StdIn' } });
      // Who has ended, maybe because of this end of its input, has closed it.
      await deliver(modifyProcess(call, this.#handle, settings));
    });
  }

  async signal(document: SignalOptions = {}, { signal }: CallOptions = {}): Promise<boolean> {
    return serviceCall(this.#call('signal', signal), async (call) => {
      const options = signalDocument(call.action, document);
      return this.#concluded(await deliver(signalProcess(call, this.#handle, options)));
    });
  }

  async kill({ signal }: CallOptions = {}): Promise<boolean> {
    const options = this.#call('kill', signal);
    if (this.#wasKilled || this.#end.isTold) return true;
    return serviceCall(options, async (call) => {
      const delivery = await kill({
        openSystem: () => call.api.openSystem(this.systemId, computeCall(call)),
        openProcess: (system) => call.api.openProcess(system, this.pid, computeCall(call)),
        terminate: (process) => terminateProcess(call, process),
        terminateSystem: () => this.#system.terminate(call.deadline),
      });
      this.#wasKilled = delivery.delivered;
      return this.#concluded(delivery);
    });
  }

  async resizeConsole({ width, height }: ConsoleSize, options: CallOptions = {}): Promise<void> {
    await this.#modify(
      'resize the console of',
      { Operation: 'ConsoleSize', ConsoleSize: { Height: height, Width: width } },
      options,
    );
  }

  async getProperties({ signal }: CallOptions = {}): Promise<ProcessStatus> {
    return serviceCall(this.#call('read properties of', signal), (call) =>
      readProperties(call, this.#handle),
    );
  }

  async modify(request: ProcessModifyRequest, options: CallOptions = {}): Promise<void> {
    await this.#modify('modify', request, options);
  }

  async wait({ signal }: CallOptions = {}): Promise<ProcessExit> {
    if (this.#closed) throw closedError(`wait for ${this.#name}`);
    return untilAborted(this.#end.promise, signal);
  }

  /** The system has ended, and its processes with it; the service may not tell of each. */
  systemHasEnded(reason: string): void {
    this.#end.release(`its compute system has ended: ${reason}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    this.#end.fail(closedError(`wait for ${this.#name}`));
    destroyStreams(this.#streams);
    try {
      await serviceCall(callOptions(this.#system, `close ${this.#name}`, undefined), () =>
        this.#handle.close(),
      );
    } finally {
      this.#events[Symbol.dispose]();
      this.#end[Symbol.dispose]();
    }
  }

  async #modify(verb: string, request: ProcessModifyRequest, { signal }: CallOptions): Promise<void> {
    await serviceCall(this.#call(verb, signal), async (call) => {
      const settings = JSON.stringify(checkDocument('ProcessModifyRequest', request));
      await modifyProcess(call, this.#handle, settings);
    });
  }

  /** Until all bytes are in the pipe, or nobody will take them any more. */
  async #flush(stdin: Writable, deadline: AbortSignal): Promise<void> {
    stdin.end();
    const flushed = finished(stdin, { signal: deadline }).catch(() => {});
    const ended = this.#end.promise.then(
      () => {},
      () => {},
    );
    await Promise.race([flushed, ended]);
    deadline.throwIfAborted();
  }

  /** Who waits is released when the process should be gone. */
  #concluded({ delivered, gone }: Delivery): boolean {
    if (gone !== undefined) this.#end.release('a signal found it gone, and nobody has told its exit code');
    return delivered;
  }

  #call(verb: string, signal: AbortSignal | undefined): ServiceCallOptions {
    if (this.#closed) throw closedError(`${verb} ${this.#name}`);
    return callOptions(this.#system, `${verb} ${this.#name}`, signal);
  }

  get #name(): string {
    return processName(this.systemId, this.pid);
  }
}

function processName(systemId: string, pid: number): string {
  return `process ${pid} of compute system "${systemId}"`;
}

function callOptions(
  { id, api, pending }: ProcessSystem,
  action: string,
  signal: AbortSignal | undefined,
): ServiceCallOptions {
  return { action, signal, timeout: operationTimeout(), api: () => api, pending, subject: id };
}

async function readProperties(call: RunningCall, handle: ProcessHandle): Promise<ProcessStatus> {
  const status = await getProcessProperties(call, handle);
  if (typeof status === 'object' && status !== null) return status;
  throw invalidAnswer(call.action, 'the Host Compute Service has not told the state of the process');
}

function settle(
  end: ProcessEnd,
  what: string,
  { type, data }: Pick<ComputeEvent, 'type' | 'data'>,
  askForEnd: () => void,
): void {
  if (end.isTold) return;
  if (type === ComputeEventType.ProcessExited) {
    const exit = exitOfStatus({ Exited: true, ...readProcessStatus(data) });
    if (exit !== undefined && exit.exitCode !== -1) end.tell(exit);
    else askForEnd();
  }
  if (type === ComputeEventType.ServiceDisconnect) {
    end.fail(
      new HcsError({
        action: `Cannot wait for ${what}`,
        problem: 'the Host Compute Service has ended, open its compute system again',
        code: 'HCS_E_SERVICE_DISCONNECT',
      }),
    );
  }
}

function signalDocument(action: string, document: SignalOptions): string {
  const { Signal: signal, ...rest } = document;
  if (typeof signal !== 'number') return JSON.stringify(checkDocument('SignalProcessOptions', document));
  checkDocument('SignalProcessOptions', rest);
  if (Number.isInteger(signal) && signal > 0 && signal <= 64) return JSON.stringify(document);
  throw new HcsError({
    action: `Cannot ${action}`,
    problem: `${signal} is no signal, those are integers from 1 to 64`,
    code: 'E_INVALIDARG',
  });
}
