import { writeSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { type LogLevel, logLevels } from './log-level.ts';

/** How much may wait for a slow or absent reader before lines are dropped. In bytes. */
const bufferLimit = 256 * 1024;

export interface AgentLogOptions {
  level: LogLevel;
  format: 'text' | 'json';
}

type Fields = Record<string, string | number | boolean>;

/**
 * The agent's log. Lines are kept, up to a limit, until an output is attached, and again whenever that output
 * has gone; what the limit does not hold is counted and told later. Format: upstream's logger's.
 */
export class AgentLog {
  readonly #options: AgentLogOptions;
  readonly #threshold: number;
  #output: Writable | undefined;
  #kept: string[] = [];
  #keptBytes = 0;
  #dropped = 0;

  constructor(options: AgentLogOptions) {
    this.#options = options;
    this.#threshold = logLevels.indexOf(options.level);
  }

  write(level: LogLevel, message: string, fields: Fields = {}): void {
    if (logLevels.indexOf(level) > this.#threshold) return;
    this.#put(this.#format(level, message, fields));
  }

  /** Sends what was kept and all that comes to `output`, which belongs to the log from here on. */
  attach(output: Writable): void {
    const previous = this.#output;
    this.#output = output;
    if (previous !== process.stderr) previous?.destroy();
    output.on('error', () => output.destroy());
    output.once('close', () => {
      if (this.#output === output) this.#output = undefined;
    });
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    for (const line of kept) this.#put(line);
  }

  /** For the last words of an agent that cannot go on: what was kept goes to stderr at once. */
  flushToStderr(): void {
    for (const line of this.#kept) writeSync(2, line);
    this.#kept = [];
  }

  #put(line: string): void {
    const waiting = this.#output ? this.#output.writableLength : this.#keptBytes;
    if (waiting + line.length > bufferLimit) {
      this.#dropped++;
      return;
    }
    const dropped = this.#dropped;
    if (dropped > 0) {
      this.#dropped = 0;
      this.#emit(this.#format('warning', 'Log lines were dropped', { count: dropped }));
    }
    this.#emit(line);
  }

  #emit(line: string): void {
    if (this.#output) {
      this.#output.write(line);
      return;
    }
    this.#kept.push(line);
    this.#keptBytes += line.length;
  }

  #format(level: LogLevel, msg: string, fields: Fields): string {
    const time = new Date().toISOString();
    if (this.#options.format === 'json') return `${JSON.stringify({ level, msg, time, ...fields })}\n`;
    const pairs = Object.entries({ time, level, msg, ...fields });
    return `${pairs.map(([name, value]) => `${name}=${quoted(String(value))}`).join(' ')}\n`;
  }
}

function quoted(value: string): string {
  return /^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value);
}
