import type { Readable, Writable } from 'node:stream';

/** What a process shows of itself, be it in a container of ours or of another process. */
export interface ConnectedProcess {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable | undefined;
  readonly stderr: Readable | undefined;
  resize(size: { columns: number; rows: number }): Promise<void>;
}

/** The size of our terminal, or of a common one when the output is none. */
export function terminalSize(): { columns: number; rows: number } {
  return { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 };
}

/** Hands keys through one by one while the container has the terminal. Disposing gives it back. */
export function rawTerminal(): Disposable {
  const raw = process.stdin.isTTY;
  if (raw) process.stdin.setRawMode(true);
  return {
    [Symbol.dispose]: () => {
      if (raw) process.stdin.setRawMode(false);
    },
  };
}

/**
 * Connects a process's streams with ours. Resolves when its output has been written; stdin goes along while
 * the process lives.
 */
export async function connectStreams(guest: ConnectedProcess): Promise<void> {
  if (guest.stdin) {
    guest.stdin.on('error', () => {});
    process.stdin.pipe(guest.stdin);
  }
  const onResize = (): void => void guest.resize(terminalSize()).catch(() => {});
  process.stdout.on('resize', onResize);
  try {
    await Promise.all([copy(guest.stdout, process.stdout), copy(guest.stderr, process.stderr)]);
  } finally {
    process.stdout.off('resize', onResize);
    if (guest.stdin) process.stdin.unpipe(guest.stdin);
    process.stdin.pause();
  }
}

/**
 * Copies until the source ends. When our output is closed (`hcsshim run … | head`), the source is closed too:
 * the process in the container then gets SIGPIPE, as it would outside.
 */
async function copy(source: Readable | undefined, target: NodeJS.WriteStream): Promise<void> {
  if (!source) return;
  const closed = (): void => void source.destroy();
  target.once('error', closed);
  try {
    for await (const chunk of source) {
      if (!target.write(chunk)) await drained(target);
    }
  } catch {
    // A reset means that the VM is gone: the exit code says so.
  } finally {
    // The guard stays for what is written late; only the source is of no use any more.
    target.on('error', () => {});
    target.off('error', closed);
  }
}

function drained(target: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const events = ['drain', 'close', 'error'];
  const done = (): void => {
    for (const event of events) target.off(event, done);
    resolve();
  };
  for (const event of events) target.on(event, done);
  return promise;
}
