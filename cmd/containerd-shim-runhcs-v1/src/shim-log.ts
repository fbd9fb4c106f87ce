import { subscribe } from 'node:diagnostics_channel';
import { constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFile } from './bundle.ts';
import type { CommandLine } from './command-line.ts';
import { describeError, Log } from './log.ts';

const errorFd = 2;

/**
 * The log of a shim, with what Node warns of, what ends the shim, and how long each phase took. Has a descriptor
 * of its own that does not block, since Node's standard streams do.
 */
export function openShimLog(command: CommandLine): Log {
  const log = openLog(command);
  logTroubles(log);
  logPhases(log);
  log.info('shim started', { bundle: command.bundle });
  return log;
}

function openLog({ bundle, id, namespace, debug }: CommandLine): Log {
  const fields = { shim: id, namespace, pid: process.pid };
  const level = debug ? 'debug' : 'info';
  try {
    return new Log(
      openSync(join(bundle, bundleFile.log), constants.O_RDWR | constants.O_NONBLOCK),
      fields,
      level,
    );
  } catch {
    return new Log(errorFd, fields, level);
  }
}

function logTroubles(log: Log): void {
  process.on('warning', (warning) => log.warning('warning', { error: describeError(warning) }));
  process.on('uncaughtException', (error) => {
    log.error('shim failed', {
      error: describeError(error),
      stack: error instanceof Error ? error.stack : '',
    });
    process.exit(1);
  });
}

function logPhases(log: Log): void {
  subscribe('hcsshim:phase', (message) => {
    const { name, subject, duration, failed } = message as Record<'name' | 'subject', string> & {
      duration: number;
      failed: boolean;
    };
    log.debug('phase', { name, subject, ms: Math.round(duration * 10) / 10, ...(failed ? { failed } : {}) });
  });
}
