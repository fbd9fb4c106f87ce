import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBusyboxImage } from '../../setup/containerd/busybox-image.ts';
import { waitForNoLeftovers } from '../../setup/leftovers.ts';
import { programs } from '../../setup/prepare.ts';

/** An ordinary user, by number. */
export const nobody = 65534;

/** Why an ordinary user cannot run the programs, or false. A checkout below a home directory of mode 0700 is out of other users' reach. */
export const unreachable =
  spawnSync('/usr/bin/setpriv', [
    ...[`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--'],
    ...['test', '-r', join(programs, 'hcsshim')],
  ]).status === 0
    ? false
    : `user ${nobody} cannot read ${programs}`;

export interface CommandOptions {
  environment?: Record<string, string>;
  /** Whom to run it as, by number. @default root */
  user?: number;
}

export interface CommandResult {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Where the `hcsshim` command runs by itself: an image, and a state and a cache directory of its own. */
export class CommandPlace implements AsyncDisposable {
  readonly directory: string;
  readonly image: string;
  readonly state: string;
  readonly cache: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.image = join(directory, 'busybox.tar');
    this.state = join(directory, 'state');
    this.cache = join(directory, 'cache');
  }

  static async make(): Promise<CommandPlace> {
    const place = new CommandPlace(await mkdtemp(join(tmpdir(), 'hcsshim-place-')));
    await chmod(place.directory, 0o755);
    await writeFile(place.image, await buildBusyboxImage());
    return place;
  }

  /** A folder that belongs to an ordinary user. */
  async home(user: number): Promise<string> {
    const path = join(this.directory, `home-${user}`);
    await mkdir(path, { recursive: true });
    await chown(path, user, user);
    return path;
  }

  start(args: readonly string[], { environment = {}, user }: CommandOptions = {}): ChildProcess {
    const command = [join(programs, 'hcsshim'), ...args];
    const ids = user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups'];
    const [program, ...rest] = user === undefined ? command : ['/usr/bin/setpriv', ...ids, '--', ...command];
    return spawn(program as string, rest, {
      env: { ...process.env, HCSSHIM_STATE: this.state, HCSSHIM_CACHE: this.cache, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  async run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const child = this.start(args, options);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.on('data', (chunk) => (output[name] += chunk));
    const [code] = (await once(child, 'close')) as [number | null];
    return { exitCode: code ?? -1, ...output };
  }

  async leftovers(state = this.state): Promise<string[]> {
    return waitForNoLeftovers(state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
