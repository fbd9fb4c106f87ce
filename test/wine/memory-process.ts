import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { HResult } from '@hcsshim/schema';
import type { StandardStream } from './stand-in-service.ts';

/**
 * What a process does, by the first word of its command line:
 * - `cat`, and any with all three streams: gives back what it reads; at the end tells how many bytes on its third
 *   stream, and exits with 0.
 * - `exit 7`: exits with 7 at once. `vanish`: is gone at once, and nobody ever hears of it.
 * - `mumble`: ends at a signal with an event that has no document. `lose`: with a wait that has failed.
 * - `deaf`: a signal to it never completes. `refuse`: ending it is refused, access denied.
 * - anything else waits for a signal.
 */
export class MemoryProcess {
  readonly pid: number;
  readonly program: string;
  readonly exit = Promise.withResolvers<string>();
  /** Its last console size, as it came. */
  consoleSize: unknown;
  /** Which streams its document asked for, a bit each. */
  readonly streams: number;
  readonly #onExit: (data: string | null) => void;
  readonly #pipes = [new PassThrough(), new PassThrough(), new PassThrough()] as const;
  readonly #inputs = new Set<Socket>();
  #exitCode: number | undefined;

  /** @param onExit Called with the document of the event that tells of the end. */
  constructor(pid: number, parameters: Record<string, unknown>, onExit: (data: string | null) => void) {
    this.pid = pid;
    this.#onExit = onExit;
    this.streams = ['CreateStdInPipe', 'CreateStdOutPipe', 'CreateStdErrPipe']
      .map((name, which) => (parameters[name] === true ? 1 << which : 0))
      .reduce((all, one) => all | one);
    const [program = '', argument] = String(parameters.CommandLine ?? '').split(' ');
    this.program = program === '' && this.streams === allStreams ? 'cat' : program;
    if (this.program === 'cat') this.#copy();
    if (this.program === 'exit') setImmediate(() => this.end(Number(argument)));
  }

  get hasExited(): boolean {
    return this.#exitCode !== undefined;
  }

  get status(): Record<string, unknown> {
    const LastWaitResult =
      this.hasExited && this.program === 'lose' ? HResult.HCS_E_CONNECTION_TIMEOUT | 0 : 0;
    return {
      ProcessId: this.pid,
      Exited: this.hasExited,
      ...(this.hasExited ? { ExitCode: this.#exitCode } : {}),
      LastWaitResult,
    };
  }

  /** Another pair of hands for a stream: all get what comes out of it. */
  attach(which: StandardStream, socket: Socket): void {
    const pipe = this.#pipes[which];
    if (which !== 0) {
      pipe.pipe(socket);
      return;
    }
    this.#inputs.add(socket);
    socket.once('close', () => this.#inputs.delete(socket)).pipe(pipe, { end: false });
    socket.once('end', () => this.#closeInput());
    if (this.hasExited) socket.destroy();
  }

  /** By the service, while what was written into the pipe before may still be on its way here. */
  closeInputSoon(): void {
    setTimeout(() => this.#closeInput(), inFlight);
  }

  #closeInput(): void {
    this.#pipes[0].end();
  }

  end(exitCode: number): void {
    if (this.hasExited) return;
    this.#exitCode = exitCode;
    for (const pipe of this.#pipes) pipe.end();
    for (const socket of this.#inputs) socket.destroy();
    const data = JSON.stringify(this.status);
    this.exit.resolve(data);
    this.#onExit(this.program === 'mumble' ? null : data);
  }

  #copy(): void {
    const [input, output, errors] = this.#pipes;
    let bytes = 0;
    input.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    input.pipe(output, { end: false });
    input.once('end', () => {
      errors.write(`${bytes} bytes`);
      this.end(0);
    });
  }
}

/** How long the last bytes of a pipe may take, in milliseconds. */
const inFlight = 200;

/** All three standard streams. */
const allStreams = 0b111;

/** The exit code that a signal gives: as a shell tells it, or what Windows gives at Ctrl-C. */
export function exitCodeOfSignal(options: Record<string, unknown>): number {
  return typeof options.Signal === 'number' ? 128 + options.Signal : 0xc000013a;
}
