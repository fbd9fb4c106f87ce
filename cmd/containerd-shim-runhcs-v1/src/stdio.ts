import {
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  statSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TtrpcError } from '@hcsshim/ttrpc';
import type { HostedProcess, StdioRequest } from './task-host.ts';

/** Where containerd wants the streams of a process: paths of FIFOs, URIs, or empty for none. */
export interface StdioPaths {
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
}

/**
 * How long after its process' end an output may be silent before it is given up: somebody else may hold it
 * open for ever. In milliseconds.
 */
const silenceTimeout = 2_000;

/**
 * The streams of one process towards containerd. Opening takes hold of the output FIFOs, so that their readers
 * neither wait nor read end-of-file before the process runs; connecting starts the copying.
 */
export class ProcessStdio implements Disposable {
  readonly paths: StdioPaths;
  readonly request: StdioRequest;
  readonly #stdin: Input | undefined;
  readonly #outputs: { name: 'stdout' | 'stderr'; output: Output }[] = [];

  /** `label` is for messages. Throws in words, and with nothing left open, when a stream cannot be opened. */
  constructor(paths: StdioPaths, label: string) {
    if (paths.terminal && paths.stderr) {
      throw new TtrpcError(
        'FailedPrecondition',
        `Cannot create ${label}: a terminal has one stream for output, stderr must be empty`,
      );
    }
    this.paths = paths;
    try {
      if (paths.stdin) this.#stdin = new Input(paths.stdin);
      if (paths.stdout) this.#outputs.push({ name: 'stdout', output: new Output(paths.stdout) });
      if (paths.stderr) this.#outputs.push({ name: 'stderr', output: new Output(paths.stderr) });
    } catch (error) {
      this.close();
      throw error;
    }
    this.request = {
      stdin: paths.stdin !== '',
      stdout: paths.stdout !== '',
      stderr: paths.stderr !== '',
      terminal: paths.terminal,
    };
  }

  connect(process: HostedProcess): void {
    if (process.stdin) this.#stdin?.pump(process.stdin);
    for (const { name, output } of this.#outputs) {
      const source = process[name];
      if (source) output.pump(source);
    }
  }

  /** Lets the process read end-of-file once the FIFO is empty and its writers have closed it. */
  closeStdin(): void {
    this.#stdin?.letGo();
  }

  /** After the process' end: resolves when all it wrote has been read, or nothing moves any more. Closes all. */
  async drain(): Promise<void> {
    this.#stdin?.close();
    await Promise.all(this.#outputs.map(({ output }) => output.drain()));
  }

  close(): void {
    this.#stdin?.close();
    for (const { output } of this.#outputs) output.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class Input {
  readonly #path: string;
  readonly #isFifo: boolean;
  /** A writer of the FIFO: while it is open the reader sees no end-of-file. */
  #holder: number | undefined;
  #source: Readable | undefined;
  #letGo = false;

  constructor(uri: string) {
    this.#path = streamPath(uri).path;
    this.#isFifo = isFifo(this.#path);
  }

  /**
   * Opens the FIFO only now: until then the client's end waits for a reader. `ctr` asks for CloseIO when its
   * input has ended, but loses that when it ends while Create is still on the way.
   */
  pump(target: Writable): void {
    if (this.#isFifo) {
      this.#holder = openStream(this.#path, constants.O_RDWR);
      const fd = openStream(this.#path, constants.O_RDONLY);
      this.#source = new Socket({ fd, readable: true, writable: false });
      if (this.#letGo) this.#releaseHolder();
    } else {
      this.#source = createReadStream(this.#path);
    }
    // A process may close its input, or end, before it has read all: that is no failure.
    pipeline(this.#source, target).catch(() => {});
  }

  letGo(): void {
    this.#letGo = true;
    this.#releaseHolder();
  }

  close(): void {
    this.#source?.destroy();
    this.#releaseHolder();
  }

  #releaseHolder(): void {
    if (this.#holder === undefined) return;
    closeSync(this.#holder);
    this.#holder = undefined;
  }
}

class Output {
  readonly #path: string;
  readonly #isFifo: boolean;
  /** A reader of the FIFO: the process survives its reader being restarted. */
  #holder: number | undefined;
  #sink: Writable | undefined;
  #done: Promise<void> | undefined;

  constructor(uri: string) {
    const { path, scheme } = streamPath(uri);
    this.#path = path;
    if (scheme === 'file') mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    this.#isFifo = scheme !== 'file' && isFifo(path);
    if (this.#isFifo) this.#holder = openStream(path, constants.O_RDWR);
  }

  pump(source: Readable): void {
    const sink = this.#isFifo
      ? new Socket({ fd: openStream(this.#path, constants.O_WRONLY), readable: false, writable: true })
      : createWriteStream(this.#path, { flags: 'a', mode: 0o644 });
    this.#sink = sink;
    const closed = new Promise<void>((resolve) => sink.once('close', resolve));
    this.#done = pipeline(source, sink)
      // A guest that is gone resets the stream; what came before it has been passed on.
      .catch(() => {})
      .then(() => {
        sink.destroy();
        return closed;
      })
      .then(() => this.#releaseHolder());
  }

  async drain(): Promise<void> {
    if (!this.#done || !this.#sink) return this.close();
    const sink = this.#sink;
    const giveUp = onSilence(sink, silenceTimeout, () => sink.destroy());
    await this.#done;
    giveUp.cancel();
  }

  close(): void {
    this.#sink?.destroy();
    if (!this.#sink) this.#releaseHolder();
  }

  #releaseHolder(): void {
    if (this.#holder === undefined) return;
    closeSync(this.#holder);
    this.#holder = undefined;
  }
}

/** Calls back once nothing has been written for `timeout` milliseconds, however slow the reader is. */
function onSilence(sink: Writable, timeout: number, callback: () => void): { cancel(): void } {
  if (sink instanceof Socket) {
    // A socket's own timeout sees a chunk that is written bit by bit; its byte count does not.
    sink.setTimeout(timeout, callback);
    return { cancel: () => sink.setTimeout(0) };
  }
  const file = sink as Writable & { bytesWritten: number };
  let before = file.bytesWritten;
  const timer = setInterval(() => {
    if (file.bytesWritten === before) callback();
    before = file.bytesWritten;
  }, timeout);
  return { cancel: () => clearInterval(timer) };
}

/** The path in a stdio URI. A bare path counts as `fifo`. */
function streamPath(uri: string): { path: string; scheme: 'fifo' | 'file' } {
  if (uri.startsWith('/')) return { path: uri, scheme: 'fifo' };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase();
  if (scheme === 'binary') {
    throw new TtrpcError(
      'Unimplemented',
      `Cannot log to "${uri}": logging programs are not supported, use a "file://" URI or a FIFO`,
    );
  }
  // A logging URI may carry parameters, which a file does not need.
  const path = /^[a-z]+:\/\/(\/[^?#]*)/i.exec(uri)?.[1];
  if ((scheme !== 'fifo' && scheme !== 'file') || path === undefined) {
    throw new TtrpcError(
      'InvalidArgument',
      `Cannot open stream "${uri}": it must be an absolute path, "fifo:///…" or "file:///…"`,
    );
  }
  return { path: decodeURIComponent(path), scheme };
}

function isFifo(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found) return found.isFIFO();
  throw new TtrpcError('NotFound', `Cannot open stream "${path}": there is no such file`);
}

/** Never blocks: with O_NONBLOCK a FIFO opens at once, given that its holder is open. */
function openStream(path: string, flags: number): number {
  try {
    return openSync(path, flags | constants.O_NONBLOCK);
  } catch (cause) {
    throw new TtrpcError('NotFound', `Cannot open stream "${path}": ${(cause as Error).message}`, { cause });
  }
}
