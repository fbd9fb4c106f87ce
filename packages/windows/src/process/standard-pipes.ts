import type { Duplex } from 'node:stream';
import { bind } from '../bind.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import { streamFromHandle } from '../handle-stream.ts';
import type { Handle } from '../procedure.ts';

/** `HANDLE_FLAG_INHERIT` (winbase.h). */
const inherit = 1;

/** One standard stream of a process that is about to be created. */
interface StandardPipe {
  /** The end that the process inherits. */
  theirs: Handle<'HANDLE'>;
  ours: Duplex;
}

/** Pipes for the standard streams that a process was asked to have, while it is created. */
export class StandardPipes implements Disposable {
  readonly #theirs = new DisposableStack();
  readonly #ours = new DisposableStack();
  readonly stdin: StandardPipe | undefined;
  readonly stdout: StandardPipe | undefined;
  readonly stderr: StandardPipe | undefined;

  constructor(wanted: { stdin: boolean; stdout: boolean; stderr: boolean }) {
    try {
      if (wanted.stdin) this.stdin = this.#open('input');
      if (wanted.stdout) this.stdout = this.#open('output');
      if (wanted.stderr) this.stderr = this.#open('output');
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The process has been created: our ends belong to the caller from now on. */
  keepOurs(): void {
    this.#ours.move();
  }

  /** Closes the ends of the process, which has its own if it was created; and ours if they have not been kept. */
  [Symbol.dispose](): void {
    this.#theirs.dispose();
    this.#ours.dispose();
  }

  #open(direction: 'input' | 'output'): StandardPipe {
    const { CreatePipe, SetHandleInformation, CloseHandle } = bind(kernel32);
    const { readPipe, writePipe } = CreatePipe({ attributes: null, size: 0 });
    const isInput = direction === 'input';
    const theirs = isInput ? readPipe : writePipe;
    this.#theirs.defer(() => CloseHandle({ object: theirs }));
    const ours = streamFromHandle(isInput ? writePipe : readPipe, { readable: !isInput, writable: isInput });
    this.#ours.defer(() => ours.destroy());
    SetHandleInformation({ object: theirs, mask: inherit, flags: inherit });
    return { theirs, ours };
  }
}
