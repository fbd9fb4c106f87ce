import { koffi } from './koffi.ts';
import type { Handle } from './procedure.ts';

/** An event of a system or process (`HCS_EVENT`, computedefs.h). */
export interface ComputeEvent {
  /** `HCS_EVENT_TYPE`; see {@link ComputeEventType}. */
  type: number;
  /** JSON, as it came. */
  data: string | null;
  /** The operation that the event is about. */
  operation: Handle<'HCS_OPERATION'> | null;
}

/** A notification of `vmcompute.dll` or `computenetwork.dll`. */
export interface Notification {
  type: number;
  /** HRESULT, unsigned. */
  status: number;
  /** JSON, as it came. */
  data: string | null;
}

/** What a callback brings, by the name of its type in Microsoft's headers. */
export interface CallbackTypes {
  HCS_OPERATION_COMPLETION: Handle<'HCS_OPERATION'>;
  HCS_EVENT_CALLBACK: ComputeEvent;
  HCS_NOTIFICATION_CALLBACK: Notification;
  /** Whether the wait ended by its time. */
  WAITORTIMERCALLBACK: boolean;
}

type CallbackName = keyof CallbackTypes;

/** One subscription to callbacks: what to hand to the DLL. */
export interface CallbackRoute extends Disposable {
  /** The address to be called. */
  readonly callback: bigint;
  /** Tells this route's calls from others'. It is a number, never an address, and never used twice. */
  readonly context: bigint;
}

type Handler = (value: never) => void;

/** By their contexts, which are numbers here: cheaper than a bigint, and more than any process opens. */
const routes = new Map<number, Handler>();
let lastContext = 0;
let keepAlive: NodeJS.Timeout | undefined;

/**
 * Has `handler` called on this thread's event loop with what a DLL calls back with, in the order in which it
 * did, and keeps the process alive until the route is disposed of. After that `handler` is not called any
 * more, also when a callback is on its way; a DLL may call back late, twice, or never.
 *
 * There is one callback per type for the whole process, and it is never unregistered: so no thread of a DLL
 * can ever reach an address that is not valid any more. The foreign thread waits until the values have been
 * read. An exception in `handler` is an ordinary uncaught exception.
 */
export function routeCallback<Name extends CallbackName>(
  name: Name,
  handler: (value: CallbackTypes[Name]) => void,
): CallbackRoute {
  const callback = trampoline(name);
  lastContext += 1;
  const context = lastContext;
  routes.set(context, handler as Handler);
  // koffi's own handles let the process end under a DLL's threads. Any timer would do; this is the longest.
  keepAlive ??= setInterval(() => {}, 2 ** 31 - 1);
  return {
    callback,
    context: BigInt(context),
    [Symbol.dispose]() {
      routes.delete(context);
      if (routes.size > 0) return;
      clearInterval(keepAlive);
      keepAlive = undefined;
    },
  };
}

/** Callback routes that are open, for tests that look for leaks. */
export function openCallbackRoutes(): number {
  return routes.size;
}

/** Called while a foreign thread waits: the values have been read, the rest can wait until it has gone on. */
function deliver(from: Number64, value: unknown): void {
  const context = Number(from);
  if (!routes.has(context)) return;
  setImmediate(() => routes.get(context)?.(value as never));
}

/** Numbers of 64 bits come as a bigint only when they are large. */
type Number64 = number | bigint;

const registrations: Record<CallbackName, { parameters: string[]; call: (...values: never[]) => void }> = {
  HCS_OPERATION_COMPLETION: {
    parameters: ['uint64', 'uint64'],
    call: (operation: Number64, context: Number64) => deliver(context, BigInt(operation)),
  },
  HCS_EVENT_CALLBACK: {
    parameters: ['uint64', 'uint64'],
    call: (event: Number64, context: Number64) => deliver(context, readEvent(BigInt(event))),
  },
  HCS_NOTIFICATION_CALLBACK: {
    parameters: ['uint32', 'uint64', 'uint32', 'uint64'],
    call: (type: number, context: Number64, status: number, data: Number64) =>
      deliver(context, { type, status, data: readString(BigInt(data)) }),
  },
  WAITORTIMERCALLBACK: {
    parameters: ['uint64', 'uint8'],
    call: (context: Number64, isTimeout: number) => deliver(context, isTimeout !== 0),
  },
};

const trampolines = new Map<CallbackName, bigint>();

function trampoline(name: CallbackName): bigint {
  const existing = trampolines.get(name);
  if (existing !== undefined) return existing;
  const { parameters, call } = registrations[name];
  const { proto, pointer, register } = koffi();
  const address = register(call, pointer(proto(name, 'void', parameters)));
  trampolines.set(name, address);
  return address;
}

/** `HCS_EVENT_TYPE Type; PCWSTR EventData; HCS_OPERATION Operation`; a null event is one of type 0, Invalid. */
function readEvent(address: bigint): ComputeEvent {
  if (address === 0n) return { type: 0, data: null, operation: null };
  const { uint32, uint64 } = koffi().decode;
  const operation = BigInt(uint64(address + 16n));
  return {
    type: uint32(address),
    data: readString(BigInt(uint64(address + 8n))),
    operation: operation === 0n ? null : (operation as Handle<'HCS_OPERATION'>),
  };
}

/** The DLL's own string, which it frees when the callback returns. */
function readString(address: bigint): string | null {
  return address === 0n ? null : koffi().decode.string16(address);
}
