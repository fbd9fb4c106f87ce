import { writeSync } from 'node:fs';

/** logrus' names, in the order of their weight: containerd's users know them. */
export const logLevels = ['error', 'warning', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * JSON lines to a descriptor that must not block: the reader of a shim's log is containerd, and while that is
 * being restarted a full pipe would stop every container. Lines that find no room are dropped and counted.
 */
export class Log {
  level: LogLevel;
  readonly #fd: number;
  readonly #fields: Record<string, unknown>;
  #dropped = 0;
  /** The last line found room for its beginning only. */
  #cut = false;

  constructor(fd: number, fields: Record<string, unknown>, level: LogLevel) {
    this.#fd = fd;
    this.#fields = fields;
    this.level = level;
  }

  error(message: string, fields?: Record<string, unknown>): void {
    this.#write('error', message, fields);
  }

  warning(message: string, fields?: Record<string, unknown>): void {
    this.#write('warning', message, fields);
  }

  info(message: string, fields?: Record<string, unknown>): void {
    this.#write('info', message, fields);
  }

  debug(message: string, fields?: Record<string, unknown>): void {
    this.#write('debug', message, fields);
  }

  #write(level: LogLevel, message: string, fields: Record<string, unknown> = {}): void {
    if (logLevels.indexOf(level) > logLevels.indexOf(this.level)) return;
    const line = {
      level,
      msg: message,
      time: new Date().toISOString(),
      ...this.#fields,
      ...fields,
      ...(this.#dropped > 0 ? { dropped: this.#dropped } : {}),
    };
    const bytes = Buffer.from(`${this.#cut ? '\n' : ''}${JSON.stringify(line)}\n`);
    try {
      this.#cut = writeSync(this.#fd, bytes) < bytes.length;
      this.#dropped = this.#cut ? 1 : 0;
    } catch {
      this.#dropped++;
    }
  }
}

/** An error and its causes in one line. */
export function describeError(error: unknown): string {
  const messages: string[] = [];
  for (let current = error; current !== undefined && messages.length < 8; ) {
    messages.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return messages.filter((message, index) => !messages[index - 1]?.includes(message)).join(': ');
}
