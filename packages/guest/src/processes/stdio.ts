import type { StdioOptions } from 'node:child_process';
import { HcsError } from '@hcsshim/schema';
import type { GuestTransport, HostConnection } from './guest-transport.ts';

/** Ports at which the host awaits a process's streams. An absent one becomes /dev/null. */
export interface StdioPorts {
  stdin?: number;
  stdout?: number;
  stderr?: number;
}

const dialTimeout = 30_000;
export const streamNames = ['stdin', 'stdout', 'stderr'] as const;

/** A process's connections to the host. Disposing closes what no process or terminal has taken over. */
export class Stdio implements Disposable {
  readonly stdin: HostConnection | undefined;
  readonly stdout: HostConnection | undefined;
  readonly stderr: HostConnection | undefined;

  constructor(connections: Partial<Record<(typeof streamNames)[number], HostConnection>>) {
    this.stdin = connections.stdin;
    this.stdout = connections.stdout;
    this.stderr = connections.stderr;
  }

  /** Dials all ports at once. A failure closes those that were reached. */
  static async connect(transport: GuestTransport, ports: StdioPorts): Promise<Stdio> {
    const signal = AbortSignal.timeout(dialTimeout);
    const dials = streamNames.map(async (name) => {
      const port = ports[name];
      return port === undefined ? undefined : transport.dial(port, { signal });
    });
    const results = await Promise.allSettled(dials);
    const connections = results.map((result) => (result.status === 'fulfilled' ? result.value : undefined));
    const [stdin, stdout, stderr] = connections;
    const failed = results.findIndex((result) => result.status === 'rejected');
    if (failed === -1) {
      return new Stdio({ ...(stdin && { stdin }), ...(stdout && { stdout }), ...(stderr && { stderr }) });
    }
    for (const connection of connections) connection?.[Symbol.dispose]();
    const name = streamNames[failed] as (typeof streamNames)[number];
    throw new HcsError({
      action: `Cannot connect ${name} to port ${ports[name]} of the host`,
      problem: 'nothing listens there, listen before starting the process',
      code: 'HCS_E_CONNECT_FAILED',
      cause: (results[failed] as PromiseRejectedResult).reason,
    });
  }

  /** For `child_process.spawn`: the child has the sockets themselves. */
  get forSpawn(): StdioOptions {
    return streamNames.map((name) => this[name]?.fd ?? 'ignore');
  }

  [Symbol.dispose](): void {
    for (const name of streamNames) this[name]?.[Symbol.dispose]();
  }
}
