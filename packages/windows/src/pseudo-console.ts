import type { Readable, Writable } from 'node:stream';
import { bind } from './bind.ts';
import { kernel32 } from './dlls/kernel32.ts';
import { streamFromHandle } from './handle-stream.ts';
import { OwnedHandle } from './owned-handle.ts';
import type { Handle } from './procedure.ts';
import { attempt } from './windows-error.ts';

/** Size of a terminal in characters, 1 to 32767 each. */
export interface ConsoleSize {
  columns: number;
  rows: number;
}

/**
 * A terminal for a process on the host: what is written to `input` is typed, and `output` is what the terminal shows, with its
 * control sequences. It stays when its process has ended, until it is closed.
 */
export class PseudoConsole implements AsyncDisposable {
  readonly input: Writable;
  readonly output: Readable;
  readonly #handle: OwnedHandle<'HPCON'>;

  private constructor(handle: OwnedHandle<'HPCON'>, input: Writable, output: Readable) {
    this.#handle = handle;
    this.input = input;
    this.output = output;
  }

  /** Throws a RangeError for a size that no terminal has, and a WindowsError when Windows refuses. */
  static create(size: ConsoleSize): PseudoConsole {
    const coordinates = encodeSize(size);
    const { CreatePipe, CreatePseudoConsole, CloseHandle } = bind(kernel32);
    const close = (object: Handle<'HANDLE'>) => CloseHandle({ object });
    return attempt('create a pseudo console', () => {
      using onFailure = new DisposableStack();
      // The console has handles of its own to these.
      using theirs = new DisposableStack();
      const input = CreatePipe({ attributes: null, size: 0 });
      theirs.adopt(input.readPipe, close);
      const typed = streamFromHandle(input.writePipe, { readable: false, writable: true });
      onFailure.adopt(typed, (stream) => stream.destroy());
      const output = CreatePipe({ attributes: null, size: 0 });
      theirs.adopt(output.writePipe, close);
      const shown = streamFromHandle(output.readPipe, { readable: true, writable: false });
      onFailure.adopt(shown, (stream) => stream.destroy());
      const { console } = CreatePseudoConsole({
        size: coordinates,
        input: input.readPipe,
        output: output.writePipe,
        flags: 0,
      });
      onFailure.move();
      const handle = new OwnedHandle('HPCON', console, (value) =>
        bind(kernel32).ClosePseudoConsole({ console: value }),
      );
      return new PseudoConsole(handle, typed, shown);
    });
  }

  /** Lends the handle to one call. */
  use<T>(call: (console: Handle<'HPCON'>) => T): Promise<Awaited<T>> {
    return this.#handle.use(call);
  }

  /** Tells the process that its terminal has another size. */
  async resize(size: ConsoleSize): Promise<void> {
    const coordinates = encodeSize(size);
    await this.#handle.use((console) =>
      attempt('resize a pseudo console', () => {
        bind(kernel32).ResizePseudoConsole({ console, size: coordinates });
      }),
    );
  }

  /** Closes the terminal, which ends its process, and then the streams. What has been shown until then can be read. */
  async close(): Promise<void> {
    // Before Windows 11 24H2 the close waits until all output has been read, and someone must read it.
    this.output.resume();
    await this.#handle.close();
    this.input.destroy();
    this.output.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A `COORD`, which goes by value: two numbers of 16 bits. */
function encodeSize({ columns, rows }: ConsoleSize): number {
  for (const [name, value] of [
    ['columns', columns],
    ['rows', rows],
  ] as const) {
    if (!Number.isInteger(value) || value < 1 || value > 0x7fff) {
      throw new RangeError(`Cannot give a terminal ${value} ${name}: it must be an integer from 1 to 32767`);
    }
  }
  return columns | (rows << 16);
}
