import { beforeDeadline, type ComputeCall } from './before-deadline.ts';
import { type CallbackRoute, type Notification, routeCallback } from './callbacks.ts';
import type { ComputeEventHandler } from './compute-api.ts';
import { ComputeEventType } from './compute-system.ts';
import { DllCallError } from './dll-call-error.ts';
import { OperationTimeoutError } from './operation-timeout-error.ts';
import type { Handle } from './procedure.ts';

/** `HCS_NOTIFICATIONS` of `vmcompute.dll` (hcsshim's internal/hcs). */
const NotificationType = {
  Invalid: 0,
  SystemExited: 1,
  SystemCreateCompleted: 2,
  SystemStartCompleted: 3,
  SystemPauseCompleted: 4,
  SystemResumeCompleted: 5,
  SystemCrashReport: 6,
  SystemSiloJobCreated: 7,
  SystemSaveCompleted: 8,
  SystemRdpEnhancedModeStateChanged: 9,
  SystemShutdownFailed: 0xa,
  SystemGetPropertiesCompleted: 0xb,
  SystemModifyCompleted: 0xc,
  SystemCrashInitiated: 0xd,
  SystemGuestConnectionClosed: 0xe,
  ProcessExited: 0x10000,
  ServiceDisconnect: 0x01000000,
} as const;

type NotificationName = keyof typeof NotificationType;

/** What completes a call that was answered with "pending". */
export type CompletionName = Extract<NotificationName, `${string}Completed`>;

const names = new Map(
  Object.entries(NotificationType).map(([name, type]) => [type as number, name as NotificationName]),
);

/** Both DLLs tell of these; what else has no place there is `Invalid`. */
function eventType(name: NotificationName): number {
  return Object.hasOwn(ComputeEventType, name)
    ? ComputeEventType[name as keyof typeof ComputeEventType]
    : ComputeEventType.Invalid;
}

/** Why a completion will not come any more. The codes are HRESULTs. */
const interruptions = {
  stopped: { status: 0x80370110, words: 'the system ended before the call' },
  exited: { status: 0x80370106, words: 'the system ended before the call did' },
  disconnected: { status: 0x8037011e, words: 'the Host Compute Service has ended, open the system again' },
  closed: { status: 0x80070006, words: 'the handle was closed before the call ended' },
} as const;

type Interruption = keyof typeof interruptions;

/** What a call gave at once. */
interface Answer {
  pending: boolean;
  result: string | null;
}

/** How `vmcompute.dll` is asked for notifications, and asked to end them. */
export interface Registration {
  register(route: CallbackRoute): Promise<{ callbackHandle: Handle<'HCS_CALLBACK'> }>;
  unregister(callbackHandle: Handle<'HCS_CALLBACK'>): Promise<unknown>;
}

/**
 * The notifications of one handle of `vmcompute.dll`: completions go to the call that waits for them, ends to
 * whoever waits, and all that is no completion to the watchers.
 *
 * A completion does not say which call it is of. So calls of one kind come one after another, and one that was
 * given up keeps its turn until it has ended: its late completion cannot be taken for that of the next.
 */
export class Notifications {
  readonly #registration: Registration;
  readonly #route: CallbackRoute;
  #callback: Handle<'HCS_CALLBACK'> | undefined;
  readonly #completions = new Map<NotificationName, PromiseWithResolvers<string | null>>();
  /** By kind: settles when the last call that was asked for has ended. */
  readonly #turns = new Map<CompletionName, Promise<unknown>>();
  readonly #watchers = new Set<ComputeEventHandler>();
  readonly #exited = Promise.withResolvers<void>();
  /** What has been told once and holds for good: the end of a system or process, or of the service. */
  readonly #last: Parameters<ComputeEventHandler>[0][] = [];
  #interruption: Interruption | undefined;

  constructor(registration: Registration) {
    this.#registration = registration;
    this.#route = routeCallback('HCS_NOTIFICATION_CALLBACK', (notification) => this.#take(notification));
    // Nobody has to wait for the end.
    this.#exited.promise.catch(() => {});
  }

  async register(): Promise<void> {
    try {
      this.#callback = (await this.#registration.register(this.#route)).callbackHandle;
    } catch (error) {
      this.#route[Symbol.dispose]();
      throw error;
    }
  }

  /** Ends the notifications, after callbacks that are under way. Who still waits is told so. */
  async close(): Promise<void> {
    this.#interrupt('closed');
    this.#watchers.clear();
    const callback = this.#callback;
    try {
      // It waits for callbacks that are under way, and these for this thread: so it must not run here.
      if (callback !== undefined) await this.#registration.unregister(callback);
    } finally {
      this.#route[Symbol.dispose]();
    }
  }

  /** Resolves when the system or process has ended; rejects when that will not be told any more. */
  get exited(): Promise<void> {
    return this.#exited.promise;
  }

  watch(handler: ComputeEventHandler): Disposable {
    this.#watchers.add(handler);
    for (const event of this.#last)
      setImmediate(() => {
        if (this.#watchers.has(handler)) handler(event);
      });
    return { [Symbol.dispose]: () => this.#watchers.delete(handler) };
  }

  /** The document that comes with the next completion of this kind. To be called before what is to be completed. */
  expect(name: CompletionName): Promise<string | null> {
    const completion = Promise.withResolvers<string | null>();
    completion.promise.catch(() => {});
    this.#completions.set(name, completion);
    return completion.promise;
  }

  /**
   * Makes a call when its turn has come, and waits for its completion when it is pending. Gives the document of
   * the completion, or what the call gave at once.
   */
  async run(name: CompletionName, call: ComputeCall, begin: () => Promise<Answer>): Promise<string | null> {
    call.signal?.throwIfAborted();
    let state: 'waiting' | 'begun' | 'given up' = 'waiting';
    const work = (this.#turns.get(name) ?? Promise.resolve()).then(async () => {
      if (state === 'given up') return null;
      state = 'begun';
      return this.#complete(name, begin);
    });
    const turn = work.catch(() => {});
    this.#turns.set(name, turn);
    turn.then(() => {
      if (this.#turns.get(name) === turn) this.#turns.delete(name);
    });
    try {
      return await beforeDeadline(work, call);
    } catch (error) {
      if (state !== 'waiting') throw error;
      state = 'given up';
      if (!(error instanceof OperationTimeoutError)) throw error;
      const why = `an earlier call of the same kind has not ended within ${error.timeout} ms`;
      throw new OperationTimeoutError(call.action, error.timeout, why);
    }
  }

  async #complete(name: CompletionName, begin: () => Promise<Answer>): Promise<string | null> {
    // Before the call, since the completion may come before its return.
    const completed = this.expect(name);
    const hadExited = this.#interruption === 'exited';
    try {
      const { pending, result } = await begin();
      if (!pending) return result;
      if (this.#interruption !== undefined)
        throw interrupted(name, hadExited ? 'stopped' : this.#interruption);
      return await completed;
    } finally {
      this.#completions.delete(name);
    }
  }

  #take({ type, status, data }: Notification): void {
    const name = names.get(type) ?? 'Invalid';
    const completion = this.#completions.get(name);
    if (completion !== undefined) {
      if (status >>> 31 === 0) completion.resolve(data);
      else completion.reject(failure(name, status, data));
      return;
    }
    // The completion of nothing: a late or second one.
    if (name.endsWith('Completed')) return;
    const isExit = name === 'SystemExited' || name === 'ProcessExited';
    const isLast = isExit || name === 'ServiceDisconnect';
    // Builds without exit documents tell a status alone.
    const told = isExit && !data ? exitDocument(name, status) : data;
    const event = { type: eventType(name), data: told };
    if (isLast) {
      if (this.#last.some((earlier) => earlier.type === event.type)) return;
      this.#last.push(event);
      if (isExit) this.#exited.resolve();
      this.#interrupt(isExit ? 'exited' : 'disconnected');
    }
    for (const watcher of this.#watchers) watcher(event);
  }

  #interrupt(why: Interruption): void {
    this.#interruption = why;
    this.#exited.reject(interrupted('SystemExited', why));
    for (const [name, completion] of this.#completions) completion.reject(interrupted(name, why));
  }
}

function exitDocument(name: NotificationName, status: number): string | null {
  return name === 'SystemExited' ? JSON.stringify({ Status: status | 0 }) : null;
}

function interrupted(name: NotificationName, why: Interruption): DllCallError {
  const { status, words } = interruptions[why];
  return failure(name, status, JSON.stringify({ Error: status | 0, ErrorMessage: words }));
}

function failure(name: NotificationName, status: number, document: string | null): DllCallError {
  return new DllCallError({ dll: 'vmcompute.dll', procedure: name, kind: 'HRESULT', status, document });
}
