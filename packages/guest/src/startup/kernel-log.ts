import { constants, openSync, readSync } from 'node:fs';
import { FdWatcher } from '@hcsshim/linux';
import type { AgentLog } from './agent-log.ts';
import type { LogLevel } from './log-level.ts';

/** A record never exceeds this (`CONSOLE_EXT_LOG_MAX`). */
const recordSize = 8192;

/** Syslog's eight levels. */
const levels: LogLevel[] = ['panic', 'fatal', 'fatal', 'error', 'warning', 'info', 'info', 'debug'];

/** Logs what the kernel says, up to a syslog level (4 is warnings), from its first message on. */
export function followKernelLog(log: AgentLog, mostVerbose: number): void {
  const fd = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  const record = Buffer.alloc(recordSize);
  const watcher = new FdWatcher(fd, () => {
    try {
      const length = readSync(fd, record);
      const entry = parseKernelRecord(record.toString('utf8', 0, length));
      if (entry && entry.level <= mostVerbose) {
        log.write(levels[entry.level] ?? 'debug', entry.message, {
          subsystem: 'kmsg',
          sequence: entry.sequence,
          timestamp: entry.timestamp,
        });
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // EPIPE: records were overwritten before they were read; the next read goes on behind them.
      if (code !== 'EAGAIN' && code !== 'EPIPE') watcher.stop();
    }
  });
  watcher.start();
  watcher.unref();
}

/** `priority,sequence,microseconds,flags;message`, from the kernel's `Documentation/ABI/testing/dev-kmsg`. */
export function parseKernelRecord(
  record: string,
): { level: number; sequence: number; timestamp: number; message: string } | undefined {
  const [, priority, sequence, timestamp, message] = /^(\d+),(\d+),(\d+),[^;]*;([^\n]*)/.exec(record) ?? [];
  if (message === undefined) return undefined;
  return { level: Number(priority) & 7, sequence: Number(sequence), timestamp: Number(timestamp), message };
}
