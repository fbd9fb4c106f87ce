import { randomBytes } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { resolve } from 'node:path';
import { printable } from '@hcsshim/program';
import { ControlServer, type EngineName, openPlatform, type Phase } from 'hcsshim';
import { connectStreams, rawTerminal, terminalSize } from './terminal.ts';

export interface RunOptions {
  engine?: EngineName;
  id?: string;
  interactive?: boolean;
  tty?: boolean;
  env: string[];
  workdir?: string;
  user?: string;
  memory?: string;
  processors?: string;
  scratch: string;
  timings?: boolean;
  guestLog?: boolean;
}

export async function run(image: string, command: string[], options: RunOptions): Promise<void> {
  const phases: Phase[] = [];
  if (options.timings) subscribe('hcsshim:phase', (message) => phases.push(message as Phase));
  const interruptions = new Interruptions();
  process.exitCode = await runContainer(image, command, options, interruptions);
  if (options.timings) showTimings(phases);
}

async function runContainer(
  image: string,
  command: string[],
  options: RunOptions,
  interruptions: Interruptions,
): Promise<number> {
  const { signal } = interruptions;
  const id = options.id ?? randomBytes(6).toString('hex');
  await using platform = await openPlatform({
    ...(options.engine ? { engine: options.engine } : {}),
    log: (sentence) => console.error(`hcsshim: ${printable(sentence)}`),
    ...(options.guestLog ? { guestLog: (_vm: string, line: string) => console.error(printable(line)) } : {}),
  });
  await using container = await platform.createContainer({
    id,
    image,
    signal,
    ...(command.length > 0 ? { args: command } : {}),
    env: options.env,
    ...(options.workdir ? { cwd: options.workdir } : {}),
    ...(options.user ? { user: options.user } : {}),
    ...(options.tty ? { terminal: terminalSize() } : {}),
    ...(options.memory ? { memoryMb: wholeNumber('--memory', options.memory) } : {}),
    ...(options.processors ? { processors: wholeNumber('--processors', options.processors) } : {}),
    scratchSizeGb: wholeNumber('--scratch', options.scratch),
  });
  const init = await container.start(
    { stdin: options.interactive ?? false, stdout: true, stderr: true },
    { signal },
  );
  await using _control = await ControlServer.listen(container, {
    id,
    image: resolve(image),
    engine: platform.engine,
    command,
    owner: process.pid,
    createdAt: new Date().toISOString(),
  });
  using _terminal = options.tty ? rawTerminal() : undefined;
  interruptions.onEach((count) => {
    // Process 1 of a container ignores SIGTERM unless it asked for it: who insists is heard.
    const ending = count === 1 ? container.stop({ patience: 10_000 }) : container.vm.system.terminate();
    ending.catch((error: Error) => console.error(`hcsshim: ${printable(error.message)}`));
  });
  const [exit] = await Promise.all([container.wait(), connectStreams(init)]);
  if (exit.vmExit)
    console.error(`hcsshim: the VM ended under the container: ${printable(exit.vmExit.reason)}`);
  return exit.exitCode;
}

/** The signals that ask us to end: the first gives up what has not begun, each is told to who listens. */
class Interruptions {
  readonly #controller = new AbortController();
  #count = 0;
  #listener: (count: number) => void = () => {};

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        this.#controller.abort(new Error(`Interrupted by ${name}`));
        this.#listener(++this.#count);
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Calls `listener` with the number of each signal from now on, and at once when one has come already. */
  onEach(listener: (count: number) => void): void {
    this.#listener = listener;
    if (this.#count > 0) listener(this.#count);
  }
}

function wholeNumber(option: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new Error(`Cannot use ${option} "${value}": it must be a whole number above 0`);
}

function showTimings(phases: readonly Phase[]): void {
  const first = Math.min(...phases.map(({ start }) => start));
  for (const { name, start, duration } of [...phases].sort((a, b) => a.start - b.start)) {
    console.error(
      `${(start - first).toFixed(0).padStart(7)} ms  +${duration.toFixed(0).padStart(6)} ms  ${name}`,
    );
  }
}
