import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { HcsError } from '@hcsshim/schema';

/** Programs that stand in until this project writes ext4 itself. */
export type Ext4Tool = 'mke2fs' | 'debugfs';

export interface ToolResult {
  exitCode: number | null;
  /** What it said on standard error, at most 64 KiB. */
  complaint: string;
}

const longestComplaint = 1 << 16;

/** An ordinary user's PATH lacks the directories where these programs are. */
const searchPath = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Runs a program to its end, or kills it when the signal aborts. Throws ERROR_NOT_SUPPORTED when there is none. */
export async function runTool(
  name: Ext4Tool,
  args: readonly string[],
  { signal, env = {} }: { signal?: AbortSignal | undefined; env?: Record<string, string> } = {},
): Promise<ToolResult> {
  signal?.throwIfAborted();
  const child = spawn(name, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...env, PATH: searchPath, LC_ALL: 'C' },
    ...(signal ? { signal, killSignal: 'SIGKILL' as const } : {}),
  });
  const closed = once(child, 'close').catch((error: unknown) => {
    throw signal?.aborted ? signal.reason : missing(name, error);
  });
  let complaint = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, longestComplaint);
  });
  await closed;
  return { exitCode: child.exitCode, complaint };
}

function missing(name: Ext4Tool, cause: unknown): HcsError {
  return new HcsError({
    action: `Cannot run "${name}"`,
    problem: 'it was not found, install the package e2fsprogs',
    code: 'ERROR_NOT_SUPPORTED',
    cause,
  });
}
