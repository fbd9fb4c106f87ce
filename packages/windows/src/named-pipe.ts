import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { bind } from './bind.ts';
import { DllCallError } from './dll-call-error.ts';
import { advapi32 } from './dlls/advapi32.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { EventWatch } from './event-watch.ts';
import { streamFromHandle } from './handle-stream.ts';
import type { Handle } from './procedure.ts';

export interface ConnectNamedPipeOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds for which a pipe may be absent or busy. @default 10000 */
  timeout?: number;
}

/** Milliseconds between two tries, as go-winio's. */
const retryInterval = 10;
/** What Node says of a pipe that is not there yet, or that has no free instance. */
const passing = new Set(['ENOENT', 'EBUSY', 'ECONNREFUSED']);

/**
 * Connects to a named pipe such as `\\.\pipe\containerd-containerd`, and tries again while it is absent or busy.
 * Rejects with Node's error, and with the last one when the time is over.
 */
export async function connectNamedPipe(
  path: string,
  { signal, timeout = 10_000 }: ConnectNamedPipeOptions = {},
): Promise<Duplex> {
  const end = performance.now() + timeout;
  for (;;) {
    signal?.throwIfAborted();
    const socket = connect({ path, allowHalfOpen: true });
    try {
      await once(socket, 'connect', signal ? { signal } : {});
      return socket;
    } catch (cause) {
      socket.destroy();
      signal?.throwIfAborted();
      const { code = '' } = cause as NodeJS.ErrnoException;
      if (!passing.has(code)) throw cause;
      if (performance.now() >= end) {
        const message = `Cannot connect to pipe "${path}": it was absent or busy for ${timeout / 1000} s`;
        throw Object.assign(new Error(message, { cause }), { code });
      }
      await sleep(retryInterval, undefined, signal ? { signal } : {}).catch(() => {});
    }
  }
}

export interface ListenNamedPipeOptions {
  /**
   * Who may connect, in SDDL.
   * @default NT AUTHORITY\SYSTEM and the Administrators
   */
  securityDescriptor?: string;
}

export interface NamedPipeListener extends AsyncDisposable {
  readonly path: string;
  /** The next connection. Rejects when the signal aborts or the listener closes. One call at a time. */
  accept(options?: { signal?: AbortSignal }): Promise<Duplex>;
}

/** All rights for the Administrators and the system, none inherited. */
const systemAndAdministrators = 'D:P(A;;GA;;;BA)(A;;GA;;;SY)';

// winbase.h, winerror.h
const duplexOverlapped = 0x3 | 0x40000000;
const FILE_FLAG_FIRST_PIPE_INSTANCE = 0x00080000;
const PIPE_REJECT_REMOTE_CLIENTS = 0x8;
const PIPE_UNLIMITED_INSTANCES = 255;
const SDDL_REVISION_1 = 1;
const ERROR_IO_PENDING = 997;
const ERROR_PIPE_CONNECTED = 535;
/** A client has come and gone. */
const ERROR_NO_DATA = 232;
const bufferBytes = 65_536;

/**
 * Serves a named pipe that only those may open whom the security descriptor names: Node's own server lets everyone
 * of the system read it. Rejects when the pipe has a server already, or the descriptor is no SDDL.
 */
export async function listenNamedPipe(
  path: string,
  { securityDescriptor = systemAndAdministrators }: ListenNamedPipeOptions = {},
): Promise<NamedPipeListener> {
  const { descriptor } = bind(advapi32).ConvertStringSecurityDescriptorToSecurityDescriptorW({
    text: securityDescriptor,
    revision: SDDL_REVISION_1,
    size: null,
  });
  const attributes = Buffer.alloc(24);
  attributes.writeUInt32LE(attributes.length, 0);
  attributes.writeBigUInt64LE(descriptor, 8);
  try {
    return new Listener(path, attributes, descriptor);
  } catch (error) {
    bind(kernel32).LocalFree({ memory: descriptor });
    throw error;
  }
}

class Listener implements NamedPipeListener {
  readonly path: string;
  readonly #attributes: Buffer;
  readonly #descriptor: bigint;
  readonly #watch: EventWatch;
  /** `OVERLAPPED`, which Windows writes to until the event is signalled. */
  readonly #overlapped = Buffer.alloc(32);
  #pipe: Handle<'HANDLE'>;
  #connected = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<never>();
  #closing: Promise<void> | undefined;

  constructor(path: string, attributes: Buffer, descriptor: bigint) {
    this.path = path;
    this.#attributes = attributes;
    this.#descriptor = descriptor;
    this.#closed.promise.catch(() => {});
    this.#pipe = this.#createInstance(FILE_FLAG_FIRST_PIPE_INSTANCE);
    this.#watch = EventWatch.open(() => this.#connected.resolve());
    this.#overlapped.writeBigUInt64LE(this.#watch.event, 24);
    this.#beginToConnect();
  }

  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<Duplex> {
    signal?.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([this.#closed.promise, this.#connected.promise, aborted.promise]);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    const pipe = this.#pipe;
    // The name must never be without an instance, or clients would find no pipe.
    this.#pipe = this.#createInstance();
    this.#beginToConnect();
    return streamFromHandle(pipe, { readable: true, writable: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { CancelIoEx, CloseHandle, LocalFree } = bind(kernel32);
    this.#closed.reject(
      new Error(`Cannot accept a connection on pipe "${this.path}": the listener is closed`),
    );
    try {
      CancelIoEx({ file: this.#pipe, overlapped: this.#overlapped });
      await this.#connected.promise;
    } catch {
      // A client had connected: nothing was under way.
    }
    CloseHandle({ object: this.#pipe });
    await this.#watch[Symbol.asyncDispose]();
    LocalFree({ memory: this.#descriptor });
  }

  #createInstance(flags = 0): Handle<'HANDLE'> {
    return bind(kernel32).CreateNamedPipeW({
      name: this.path,
      openMode: duplexOverlapped | flags,
      pipeMode: PIPE_REJECT_REMOTE_CLIENTS,
      maxInstances: PIPE_UNLIMITED_INSTANCES,
      outBufferSize: bufferBytes,
      inBufferSize: bufferBytes,
      defaultTimeout: 0,
      attributes: this.#attributes,
    });
  }

  #beginToConnect(): void {
    this.#connected = Promise.withResolvers<void>();
    try {
      bind(kernel32).ConnectNamedPipe({ pipe: this.#pipe, overlapped: this.#overlapped });
    } catch (error) {
      const status = error instanceof DllCallError ? error.status : undefined;
      if (status === ERROR_PIPE_CONNECTED || status === ERROR_NO_DATA) this.#connected.resolve();
      else if (status !== ERROR_IO_PENDING) throw error;
    }
  }
}
