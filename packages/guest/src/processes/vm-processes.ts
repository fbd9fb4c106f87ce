import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { closeFd, openPty } from '@hcsshim/linux';
import { type GuestProcessParameters, HcsError } from '@hcsshim/schema';
import { Console } from './console.ts';
import { defaultPath, findExecutable } from './executable.ts';
import { GuestProcess } from './guest-process.ts';
import type { GuestTransport } from './guest-transport.ts';
import type { ProcessReaper } from './process-reaper.ts';
import { ProcessTable } from './process-table.ts';
import { splitShellWords } from './shell-words.ts';
import { Stdio, type StdioPorts } from './stdio.ts';

/**
 * Only a session leader that opens a terminal gets it as its controlling one, which Node's spawn cannot
 * arrange: a shell does, and then becomes the program.
 */
const terminalScript = 'exec <"$1" >"$1" 2>&1; shift; exec "$@"';

/** Processes in the VM itself, outside of all containers, as root. */
export class VmProcesses {
  readonly #transport: GuestTransport;
  readonly #reaper: ProcessReaper;
  readonly #processes = new ProcessTable('the VM');

  constructor(services: { transport: GuestTransport; reaper: ProcessReaper }) {
    this.#transport = services.transport;
    this.#reaper = services.reaper;
  }

  /** Starts a process and returns its id. Throws ERROR_FILE_NOT_FOUND when there is no such program. */
  async start(parameters: GuestProcessParameters, ports: StdioPorts): Promise<number> {
    const args = parameters.CommandArgs?.length
      ? parameters.CommandArgs
      : splitShellWords(parameters.CommandLine ?? '');
    const cwd = parameters.WorkingDirectory || '/';
    const env = { PATH: defaultPath, ...parameters.Environment };
    const [program, ...rest] = args as [string, ...string[]];
    const file = findExecutable(program, { path: env.PATH, cwd });
    if (file === undefined) {
      throw new HcsError({
        action: `Cannot run "${program}" in the VM`,
        problem: 'there is no such program',
        code: 'ERROR_FILE_NOT_FOUND',
      });
    }
    using stdio = await Stdio.connect(this.#transport, ports);
    const started = parameters.EmulateConsole
      ? await this.#spawnOnTerminal(file, rest, { cwd, env }, stdio)
      : { child: this.#reaper.spawn(file, rest, { cwd, env, stdio: stdio.forSpawn }), console: undefined };
    const pid = await pidOf(started.child, program);
    this.#processes.add(new GuestProcess(pid, exitCodeOf(started.child), started.console));
    return pid;
  }

  /** Throws ERROR_NOT_FOUND. */
  get(pid: number): GuestProcess {
    return this.#processes.get(pid);
  }

  async #spawnOnTerminal(
    file: string,
    args: readonly string[],
    options: { cwd: string; env: Record<string, string> },
    stdio: Stdio,
  ): Promise<{ child: ChildProcess; console: Console }> {
    const { masterFd, slavePath } = openPty();
    try {
      const child = this.#reaper.spawn('/bin/sh', ['-c', terminalScript, 'sh', slavePath, file, ...args], {
        ...options,
        env: { TERM: 'xterm', ...options.env },
        detached: true,
        stdio: 'ignore',
      });
      await pidOf(child, file);
      return { child, console: new Console(masterFd, stdio) };
    } catch (error) {
      closeFd(masterFd);
      throw error;
    }
  }
}

async function pidOf(child: ChildProcess, program: string): Promise<number> {
  if (child.pid !== undefined) return child.pid;
  const [cause] = await once(child, 'error');
  throw new HcsError({
    action: `Cannot run "${program}" in the VM`,
    problem: (cause as Error).message,
    code: 'E_FAIL',
    cause,
  });
}

async function exitCodeOf(child: ChildProcess): Promise<number> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + constants.signals[signal as NodeJS.Signals];
}
