import type { Duplex, Readable, Writable } from 'node:stream';
import type { GuestConnection, HvListener, HvSocket } from '@hcsshim/bridge';
import { type CallOptions, HcsError, isHcsError, untilAborted } from '@hcsshim/hcs';
import { type GuestProcessParameters as MessageParameters, utilityVmId } from '@hcsshim/schema';

/** Which of its standard streams the host wants to hold. The others are closed in the guest. */
export interface StdioRequest {
  stdin?: boolean;
  stdout?: boolean;
  stderr?: boolean;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** What a process is started with; its standard streams are asked for apart. */
export type GuestProcessParameters = Omit<
  MessageParameters,
  'CreateStdInPipe' | 'CreateStdOutPipe' | 'CreateStdErrPipe'
>;

export interface GuestProcessPlace {
  /** GUID of the VM. */
  runtimeId: string;
  sockets: HvSocket;
  guest: GuestConnection;
  /** The container, or the all-zero GUID for the VM itself. */
  containerId: string;
}

/** How long the guest may take to connect to a process's streams once it has started it. In milliseconds. */
const connectTimeout = 30_000;

/**
 * A process in a container or in the VM, with its standard streams as host streams. Streams end when the
 * process and all who inherited them have closed them.
 */
export class GuestProcess {
  readonly pid: number;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  readonly #place: GuestProcessPlace;
  readonly #exit: Promise<number>;

  private constructor(place: GuestProcessPlace, pid: number, streams: Partial<Record<StreamName, Duplex>>) {
    this.#place = place;
    this.pid = pid;
    this.stdin = streams.stdin;
    this.stdout = streams.stdout;
    this.stderr = streams.stderr;
    // Asked for at once, so that the guest keeps the exit for us however long nobody waits.
    this.#exit = place.guest.waitForProcess(place.containerId, pid);
    this.#exit.catch(() => {});
  }

  /** Starts a process. Rejects with the guest's error, for example when the command does not exist. */
  static async start(
    place: GuestProcessPlace,
    parameters: GuestProcessParameters,
    stdio: StdioRequest,
    options: CallOptions = {},
  ): Promise<GuestProcess> {
    const wanted = streamNames.filter(
      (name) => stdio[name] && !(parameters.EmulateConsole && name === 'stderr'),
    );
    await using listeners = new AsyncDisposableStack();
    const taken: { name: StreamName; port: number; listener: HvListener }[] = [];
    for (const name of wanted) {
      const port = place.guest.allocatePort();
      const listener = listeners.use(await place.sockets.listen(place.runtimeId, port));
      taken.push({ name, port, listener });
    }
    const connecting = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, connecting.signal]) : connecting.signal;
    const accepted = Promise.allSettled(
      taken.map(({ name, listener }) => acceptStream(name, listener, signal)),
    );
    const portOf = (name: StreamName): number | undefined => taken.find((one) => one.name === name)?.port;
    const [stdin, stdout, stderr] = streamNames.map(portOf);
    const executing = place.guest.executeProcess(
      place.containerId,
      {
        ...parameters,
        CreateStdInPipe: stdin !== undefined,
        CreateStdOutPipe: stdout !== undefined,
        CreateStdErrPipe: stderr !== undefined,
      },
      {
        ...(stdin === undefined ? {} : { StdIn: stdin }),
        ...(stdout === undefined ? {} : { StdOut: stdout }),
        ...(stderr === undefined ? {} : { StdErr: stderr }),
      },
    );
    const killLate = (pid: number): Promise<void> => place.guest.signalProcess(place.containerId, pid, 9);
    let pid: number;
    try {
      pid = await untilAborted(executing, options.signal);
    } catch (error) {
      // The guest may still start it: nobody would know of it then.
      if (options.signal?.aborted) executing.then(killLate).catch(() => {});
      connecting.abort(error);
      for (const result of await accepted) if (result.status === 'fulfilled') result.value[1].destroy();
      throw error;
    }
    const timer = setTimeout(() => connecting.abort(), connectTimeout);
    const results = await accepted;
    clearTimeout(timer);
    const streams = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) {
      for (const [, stream] of streams) stream.destroy();
      await killLate(pid).catch(() => {});
      options.signal?.throwIfAborted();
      throw new HcsError({
        action: `Cannot connect the standard streams of process ${pid} in "${place.containerId}"`,
        problem: connecting.signal.aborted
          ? `the guest agent did not connect to them within ${connectTimeout / 1000} s`
          : 'the VM ended meanwhile',
        code: connecting.signal.aborted ? 'HCS_E_CONNECTION_TIMEOUT' : 'HCS_E_CONNECTION_CLOSED',
        cause: failure.reason,
      });
    }
    for (const [name, stream] of streams) {
      if (name === 'stdin') closeWhenGuestDoes(stream);
      else closeAtEnd(stream);
    }
    return new GuestProcess(place, pid, Object.fromEntries(streams));
  }

  /**
   * The exit code, 128 + signal number for a killed process; for any number of waiters, also long after.
   * Upstream's agent tells of an exit only after all that the process wrote has been read.
   */
  async wait(options: CallOptions = {}): Promise<number> {
    return untilAborted(this.#exit, options.signal);
  }

  /** Sends a signal by number. False when the process has ended already. Throws what the guest answers else. */
  async kill(signal: number, options: CallOptions = {}): Promise<boolean> {
    try {
      await this.#place.guest.signalProcess(this.#place.containerId, this.pid, signal, options);
      return true;
    } catch (error) {
      if (isHcsError(error, 'ERROR_NOT_FOUND')) return false;
      // A container that is gone took the process along. The VM is not gone: upstream's agent says this of any
      // process outside containers, because it cannot signal those.
      if (isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND') && this.#place.containerId !== utilityVmId)
        return false;
      throw error;
    }
  }

  /** Sets the size of the process's terminal. */
  async resize({ columns, rows }: TerminalSize, options: CallOptions = {}): Promise<void> {
    await this.#place.guest.resizeConsole(
      this.#place.containerId,
      this.pid,
      { width: columns, height: rows },
      options,
    );
  }

  /** Lets the process read end-of-file; what it writes still arrives. */
  closeStdin(): void {
    this.stdin?.end();
  }
}

const streamNames = ['stdin', 'stdout', 'stderr'] as const;
type StreamName = (typeof streamNames)[number];

/** A stream of a process. Its errors reach who reads it; a VM that ends must not end this process by them. */
async function acceptStream(
  name: StreamName,
  listener: HvListener,
  signal: AbortSignal,
): Promise<[StreamName, Duplex]> {
  const stream = await listener.accept({ signal });
  stream.on('error', () => {});
  return [name, stream];
}

/** Upstream's agent counts a stream as done, and the process as ended, once the host has closed it too. */
function closeAtEnd(stream: Duplex): void {
  stream.once('end', () => stream.end());
}

/** A guest sends nothing here; its end says that nobody takes input any more. Unread, it would not be noticed. */
function closeWhenGuestDoes(stream: Duplex): void {
  stream.once('end', () => stream.destroy());
  stream.resume();
}
