import { win32 } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { bind } from '../bind.ts';
import { DllCallError } from '../dll-call-error.ts';
import { advapi32 } from '../dlls/advapi32.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import type { JobObject } from '../job-object/index.ts';
import { OwnedHandle } from '../owned-handle.ts';
import type { Handle } from '../procedure.ts';
import type { PseudoConsole } from '../pseudo-console.ts';
import { attempt } from '../windows-error.ts';
import { environmentBlock } from './environment-block.ts';
import { StandardPipes } from './standard-pipes.ts';
import { processInformationLayout, StartupInformation } from './startup-information.ts';
import { waitForObject } from './wait-for-object.ts';

export interface HostProcessOptions {
  /** Path of the program; a relative one is below `directory`. No search is made. */
  program: string;
  /** All of the command line, with the program's name at its beginning. @default the program's path in quotes */
  commandLine?: string;
  /** @default that of this process */
  directory?: string;
  /** @default that of this process */
  environment?: Readonly<Record<string, string | undefined>>;
  /** Have a pipe as standard input. Without one it has no stream there. @default false */
  stdin?: boolean;
  /** @default false */
  stdout?: boolean;
  /** @default false */
  stderr?: boolean;
  /** The job that the process is in from its beginning. */
  job?: JobObject;
  /** The terminal that it has in place of standard streams. */
  pseudoConsole?: PseudoConsole;
  /** Id of the process to be the parent, from which it has token and session. It cannot have pipes then. */
  parent?: number;
  /** Token of the user whom it runs as. @default that of this process */
  token?: Handle<'HANDLE'>;
  /** Further `CREATE_*` flags (winbase.h). @default 0 */
  creationFlags?: number;
}

/** CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT (winbase.h). */
const alwaysFlags = 0x400 | 0x80000;
/** `PROCESS_CREATE_PROCESS` (winnt.h). */
const createProcessAccess = 0x80;
/** What a process that runs has for an exit code. */
const stillActive = 259;
const accessDenied = 5;

interface CreatedProcess {
  process: Handle<'HANDLE'>;
  processId: number;
  pipes: StandardPipes;
}

/**
 * A process on the host, created with what Node's child processes cannot have: a job from the beginning, a pseudo console, another
 * parent or user. It inherits its own streams and no other handle. It goes on when this object is disposed of, but its
 * pipes end then.
 */
export class HostProcess implements AsyncDisposable {
  readonly processId: number;
  /** Null where no pipe was asked for. To be read to the end, or the process may come to wait for its reader. */
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  readonly #handle: OwnedHandle<'HANDLE'>;
  readonly #closing = new AbortController();
  #exitCode: number | undefined;

  private constructor({ process, processId, pipes }: CreatedProcess) {
    this.processId = processId;
    this.stdin = pipes.stdin?.ours ?? null;
    this.stdout = pipes.stdout?.ours ?? null;
    this.stderr = pipes.stderr?.ours ?? null;
    this.#handle = new OwnedHandle('HANDLE', process, (object) => bind(kernel32).CloseHandle({ object }));
  }

  /** Rejects with a WindowsError when Windows refuses, and with a TypeError for options that do not fit each other. */
  static async start(options: HostProcessOptions): Promise<HostProcess> {
    const { job, pseudoConsole } = options;
    const hasPipe = options.stdin || options.stdout || options.stderr;
    if (hasPipe && (pseudoConsole !== undefined || options.parent !== undefined)) {
      const other = pseudoConsole === undefined ? 'another parent' : 'a pseudo console';
      throw new TypeError(`Cannot start "${options.program}": it cannot have both pipes and ${other}`);
    }
    const withConsole = (jobHandle?: Handle<'HANDLE'>) => {
      if (pseudoConsole === undefined) return create(options, jobHandle, undefined);
      return pseudoConsole.use((console) => create(options, jobHandle, console));
    };
    return new HostProcess(await (job === undefined ? withConsole() : job.use(withConsole)));
  }

  /** Set once a wait has seen the end. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /**
   * Waits until the process has ended, and gives its exit code, unsigned. No thread is taken for that. Any number may wait, also
   * after the end. Rejects with the signal's reason when it is aborted, and with an Error when this object is closed.
   */
  async wait({ signal }: { signal?: AbortSignal } = {}): Promise<number> {
    const action = `wait for process ${this.processId}`;
    return this.#use(action, async (process) => {
      const closed = this.#closing.signal;
      await waitForObject(process, signal ? AbortSignal.any([signal, closed]) : closed);
      this.#exitCode = attempt(action, () => bind(kernel32).GetExitCodeProcess({ process }).exitCode);
      return this.#exitCode;
    });
  }

  /** Ends the process at once, without its doing. Does nothing when it has ended. */
  kill(exitCode = 1): Promise<void> {
    const action = `kill process ${this.processId}`;
    return this.#use(action, (process) =>
      attempt(action, () => {
        try {
          bind(kernel32).TerminateProcess({ process, exitCode });
        } catch (error) {
          if (!(error instanceof DllCallError) || error.status !== accessDenied) throw error;
          if (bind(kernel32).GetExitCodeProcess({ process }).exitCode === stillActive) throw error;
        }
      }),
    );
  }

  /** Lets go of the process and its streams. */
  async close(): Promise<void> {
    this.#closing.abort(new Error(`Cannot wait for process ${this.processId}: it has been closed here`));
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy();
    await this.#handle.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #use<T>(action: string, call: (process: Handle<'HANDLE'>) => T): Promise<Awaited<T>> {
    if (this.#handle.state === 'open') return this.#handle.use(call);
    return Promise.reject(new Error(`Cannot ${action}: it has been closed here`));
  }
}

/** All in one go: no other process can be started meanwhile, which would inherit the pipes. */
function create(
  options: HostProcessOptions,
  job: Handle<'HANDLE'> | undefined,
  pseudoConsole: Handle<'HPCON'> | undefined,
): CreatedProcess {
  const { directory, environment = process.env, creationFlags = 0, token, parent } = options;
  const program = directory === undefined ? options.program : win32.resolve(directory, options.program);
  const { commandLine = `"${program}"` } = options;
  if (commandLine.includes('\0')) {
    throw new TypeError(`Cannot start "${program}": its command line has a NUL character in it`);
  }
  return attempt(`start "${program}"`, () => {
    const { CreateProcessW, OpenProcess, CloseHandle } = bind(kernel32);
    const { CreateProcessAsUserW } = bind(advapi32);
    using stack = new DisposableStack();
    const parentHandle =
      parent === undefined
        ? undefined
        : stack.adopt(
            OpenProcess({ desiredAccess: createProcessAccess, inheritHandle: false, processId: parent }),
            (object) => CloseHandle({ object }),
          );
    const { stdin = false, stdout = false, stderr = false } = options;
    const pipes = stack.use(new StandardPipes({ stdin, stdout, stderr }));
    const startup = stack.use(
      new StartupInformation({
        stdInput: pipes.stdin?.theirs,
        stdOutput: pipes.stdout?.theirs,
        stdError: pipes.stderr?.theirs,
        job,
        pseudoConsole,
        parent: parentHandle,
      }),
    );
    const processInformation = processInformationLayout.encode({});
    const inputs = {
      applicationName: program,
      commandLine: Buffer.from(`${commandLine}\0`, 'utf16le'),
      processAttributes: null,
      threadAttributes: null,
      inheritHandles: stdin || stdout || stderr,
      creationFlags: creationFlags | alwaysFlags,
      environment: environmentBlock(environment),
      currentDirectory: directory ?? null,
      startupInfo: startup.memory,
      processInformation,
    };
    if (token === undefined) CreateProcessW(inputs);
    else CreateProcessAsUserW({ token, ...inputs });
    const created = processInformationLayout.decode(processInformation);
    pipes.keepOurs();
    CloseHandle({ object: created.thread as Handle<'HANDLE'> });
    return { process: created.process as Handle<'HANDLE'>, processId: created.processId, pipes };
  });
}
