import type { StdioOptions } from 'node:child_process';
import { closeFd, openPipe } from '@hcsshim/linux';
import { Relay } from './relay.ts';
import { type Stdio, streamNames } from './stdio.ts';

/**
 * Pipes between a process and its connections to the host. A socket would do as stdio as well, and save the
 * moving, but for one thing: `/dev/stdout`, to which images link their logs, cannot be opened on a socket.
 *
 * The streams go on after the process, until all who have inherited them have closed them. Disposing closes the
 * ends that are meant for the process: it has its own copies by then, or was never started.
 */
export class StdioPipes implements Disposable {
  /** For `child_process.spawn`. */
  readonly forSpawn: StdioOptions;
  readonly #processEnds: number[] = [];

  /** Takes over the connections of `stdio`. */
  constructor(stdio: Stdio) {
    using undo = new DisposableStack();
    undo.use(this);
    this.forSpawn = streamNames.map((name) => {
      const connection = stdio[name];
      if (!connection) return 'ignore';
      const { readFd, writeFd } = openPipe();
      const [processEnd, agentEnd] = name === 'stdin' ? [readFd, writeFd] : [writeFd, readFd];
      this.#processEnds.push(processEnd);
      const socket = connection.release();
      if (name === 'stdin') new Relay(socket, agentEnd);
      else new Relay(agentEnd, socket);
      return processEnd;
    });
    undo.move();
  }

  [Symbol.dispose](): void {
    for (const fd of this.#processEnds.splice(0)) closeFd(fd);
  }
}
