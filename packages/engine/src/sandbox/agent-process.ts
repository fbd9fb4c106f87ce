import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { HcsError, type SystemExit } from '@hcsshim/hcs';
import { diesWithOwner } from '../dies-with-owner.ts';
import { childrenOf } from '../process-identity.ts';

/**
 * New mount, PID, UTS, IPC and network namespaces. unshare (of util-linux) stays as the agent's parent: a PID
 * namespace begins with a child. The kernel ends all of it with the owner, whatever way the owner ends. The child
 * asks for that itself; in case its parent had gone before, it then looks whether the owner still takes output.
 */
const namespaceCommand = [
  ...['unshare', '-m', '-p', '-u', '-i', '-n', '--fork', '--kill-child=KILL', '--mount-proc', '--'],
  ...['sh', '-c', 'echo && exec "$@"', 'sh'],
];

/** unshare of util-linux 2.38 fails with this where it should end by the signal that killed its child. */
const lostSignal = 'unshare: sigprocmask unblock failed: Invalid argument';
/** How much of what the agent last wrote is kept to explain its end. */
const longestTail = 2048;
/** How long to wait for that after the end. In milliseconds. */
const tailTimeout = 200;

/** The guest agent in namespaces of its own, where it is process 1. */
export class AgentProcess {
  /** Resolves when the agent has ended, and with it all processes of its PID namespace. */
  readonly exited: Promise<SystemExit>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  #tail = '';

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#tail = (this.#tail + text).slice(-longestTail);
      });
    }
    this.exited = this.#explainExit();
  }

  static async spawn(agentCommand: readonly string[], action: string): Promise<AgentProcess> {
    const { program, args } = diesWithOwner([...namespaceCommand, ...agentCommand]);
    // Detached, so that Ctrl-C at a terminal reaches the owner, who may then end things in order.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/', detached: true });
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw new HcsError({
        action,
        problem: `"${program}" of util-linux does not start, install it`,
        code: 'ERROR_FILE_NOT_FOUND',
        cause: error,
      });
    }
    return new AgentProcess(child);
  }

  /** The agent's parent, and the agent once that has forked. */
  get pids(): number[] {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return [];
    return [pid, ...childrenOf(pid)];
  }

  /** Sends a signal to the agent. */
  signal(signal: NodeJS.Signals): void {
    const [parent, ...agents] = this.pids;
    // Through the agent, so that its parent sees it end; alone only where it has no child yet.
    const targets = agents.length > 0 ? agents : parent === undefined ? [] : [parent];
    for (const pid of targets) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }

  /** Ends the agent, and with it all processes of its PID namespace. */
  kill(): void {
    this.signal('SIGKILL');
    // A parent that somebody has stopped would not see it end.
    this.#child.kill('SIGCONT');
  }

  async #explainExit(): Promise<SystemExit> {
    const closed = once(this.#child, 'close');
    const [code, signal] = (await once(this.#child, 'exit')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return { type: 'GracefulExit', reason: 'the guest shut down' };
    await Promise.race([closed, sleep(tailTimeout)]);
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
    const lines = this.#tail.trim().split('\n');
    const killed = signal !== null || lines.at(-1) === lostSignal;
    const how = killed ? `was killed by ${signal ?? 'a signal'}` : `ended with exit code ${code}`;
    const lastLine = lines.filter((line) => line !== lostSignal).at(-1);
    return {
      type: 'UnexpectedExit',
      reason: `the sandbox's agent ${how}${lastLine ? `, its last words: ${lastLine}` : ''}`,
    };
  }
}
