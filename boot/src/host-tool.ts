import { spawn } from 'node:child_process';

/** Programs of the host that a build runs, and the Debian package that has each. */
const debianPackageOf = {
  'apt-cache': 'apt',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  lz4: 'lz4',
  xz: 'xz-utils',
} as const;

export type HostTool = keyof typeof debianPackageOf;

export interface HostToolOptions {
  /** What is being done, for the error: `Cannot unpack "x.deb"`. */
  action: string;
  cwd?: string;
  env?: Record<string, string>;
  input?: Uint8Array;
  signal?: AbortSignal | undefined;
}

const stderrLimit = 4096;

/**
 * Runs a program of the host and hands its output to `read` as it comes, so that a large one is never whole
 * in memory. Throws when the program is missing (with the Debian package to install) or fails (with the end
 * of what it wrote to stderr).
 */
export async function readHostTool<T>(
  tool: HostTool,
  args: string[],
  options: HostToolOptions,
  read: (output: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const child = spawn(tool, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal ? { signal: options.signal, killSignal: 'SIGKILL' as const } : {}),
  });
  const { promise: ended, resolve, reject } = Promise.withResolvers<number | string>();
  child.once('error', reject);
  child.once('close', (code, signal) => resolve(code ?? `signal ${signal}`));
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-stderrLimit);
  });
  // The program may end before it has read all; its exit code tells.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input);
  try {
    const [status, result] = await Promise.all([ended, read(child.stdout)]);
    if (status !== 0) {
      throw new Error(
        `${options.action}: "${tool}" ended with ${status}, ${complaint.trim() || 'without a word'}`,
      );
    }
    return result;
  } catch (error) {
    child.kill('SIGKILL');
    options.signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && (error as NodeJS.ErrnoException).syscall) {
      throw new Error(
        `${options.action}: the program "${tool}" is missing, install the Debian package "${debianPackageOf[tool]}"`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** As {@link readHostTool}, with the whole output as bytes. */
export function runHostTool(tool: HostTool, args: string[], options: HostToolOptions): Promise<Uint8Array> {
  return readHostTool(tool, args, options, async (output) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of output) chunks.push(chunk);
    return Buffer.concat(chunks);
  });
}
