import { resizePty } from '@hcsshim/linux';
import type { Stdio } from './stdio.ts';
import { TerminalStream } from './terminal-stream.ts';

/**
 * The agent's end of a process's terminal, joined to the host's streams: what the host sends is typed, what
 * the terminal shows goes to the host's stdout. The end of the host's input types nothing, as in upstream.
 */
export class Console {
  readonly #masterFd: number;
  readonly #terminal: TerminalStream;
  /** Resolves when all who had the terminal open are gone and what they wrote has been handed to the host. */
  readonly drained: Promise<void>;

  /** Takes over the descriptor of the terminal's master and the connections of `stdio`. */
  constructor(masterFd: number, stdio: Stdio) {
    this.#masterFd = masterFd;
    const terminal = new TerminalStream(masterFd);
    this.#terminal = terminal;
    const input = stdio.stdin?.toStream();
    const output = stdio.stdout?.toStream();
    stdio.stderr?.[Symbol.dispose]();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.drained = promise;

    terminal.on('error', () => terminal.destroy());
    terminal.once('close', () => input?.destroy());
    if (input) {
      input.on('error', () => input.destroy());
      input.pipe(terminal, { end: false });
    }
    if (!output) {
      terminal.once('close', resolve).resume();
      return;
    }
    // A host that has gone must not stop the process: its output is read on and dropped.
    output.on('error', () => output.destroy());
    output.once('close', () => {
      terminal.unpipe(output).resume();
      resolve();
    });
    output.resume();
    terminal.once('end', () => output.end(() => output.destroy()));
    terminal.once('close', () => {
      if (!terminal.readableEnded) output.destroy();
    });
    terminal.pipe(output, { end: false });
  }

  resize(size: { columns: number; rows: number }): void {
    if (!this.#terminal.destroyed) resizePty(this.#masterFd, size);
  }

  close(): void {
    this.#terminal.destroy();
  }
}
