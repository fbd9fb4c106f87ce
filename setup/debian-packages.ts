import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** A Debian package and a file that tells whether it is there: a program on the PATH, or an absolute path. */
export interface DebianPackage {
  name: string;
  provides: string;
  neededFor: string;
}

/** What the programs need at run time, what building the boot files needs, what the tests compare with. */
export const debianPackages = {
  containerd: {
    name: 'containerd',
    provides: 'containerd',
    neededFor: 'the container runtime that drives the shim',
  },
  crun: { name: 'crun', provides: 'crun', neededFor: 'the OCI runtime of the sandbox engine' },
  qemu: { name: 'qemu-system-x86', provides: 'qemu-system-x86_64', neededFor: 'utility VMs' },
  busybox: {
    name: 'busybox-static',
    provides: '/bin/busybox',
    neededFor: 'the image that is run, and the guest',
  },
  e2fsprogs: { name: 'e2fsprogs', provides: '/sbin/mke2fs', neededFor: 'checking disks in tests' },
  verity: {
    name: 'cryptsetup-bin',
    provides: '/sbin/veritysetup',
    neededFor: 'checking hash trees in tests',
  },
  attr: { name: 'attr', provides: 'setfattr', neededFor: 'setting extended attributes in tests' },
  xz: { name: 'xz-utils', provides: 'xz', neededFor: 'unpacking the guest kernel' },
  runc: { name: 'runc', provides: 'runc', neededFor: 'comparing with the runc shim' },
  wine: { name: 'wine', provides: 'wine', neededFor: 'running the Windows code path' },
  wine64: { name: 'wine64', provides: '/usr/lib/wine/wine64', neededFor: 'running the Windows code path' },
  mingw: {
    name: 'gcc-mingw-w64-x86-64-win32',
    provides: 'x86_64-w64-mingw32-gcc',
    neededFor: 'building stand-ins for DLLs of Windows',
  },
  iproute2: { name: 'iproute2', provides: 'ip', neededFor: 'looking for leaks in tests' },
} as const satisfies Record<string, DebianPackage>;

export type DebianPackageKey = keyof typeof debianPackages;

/** The packages of `keys` that are not installed. */
export async function missingDebianPackages(keys: readonly DebianPackageKey[]): Promise<DebianPackage[]> {
  const missing: DebianPackage[] = [];
  for (const key of keys) {
    const wanted: DebianPackage = debianPackages[key];
    if (!(await isProvided(wanted.provides))) missing.push(wanted);
  }
  return missing;
}

/**
 * Installs what is missing of `keys` with apt-get, after saying what and why. Needs root; without it, fails
 * with the command to run.
 */
export async function installDebianPackages(
  keys: readonly DebianPackageKey[],
  say: (line: string) => void,
): Promise<void> {
  const missing = await missingDebianPackages(keys);
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name);
  say(`These Debian packages are missing and will be installed with apt-get (as root):`);
  for (const { name, neededFor } of missing) say(`    ${name.padEnd(18)} ${neededFor}`);
  if (process.getuid?.() !== 0) {
    throw new Error(
      `Cannot install Debian packages: not root, run "sudo apt-get install --no-install-recommends ${names.join(' ')}" and try again`,
    );
  }
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...names];
  if ((await aptGet(install, 'ignore')) === 0) return;
  say('apt-get install failed, trying again after apt-get update');
  await aptGet(['update', '-qq'], 'inherit');
  const code = await aptGet(install, 'inherit');
  if (code !== 0) throw new Error(`Cannot install ${names.join(', ')}: apt-get ended with exit code ${code}`);
}

async function isProvided(file: string): Promise<boolean> {
  const candidates = file.startsWith('/')
    ? [file]
    : (process.env.PATH ?? '')
        .split(delimiter)
        .concat('/usr/sbin', '/sbin')
        .map((folder) => join(folder, file));
  for (const candidate of candidates) {
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    ) {
      return true;
    }
  }
  return false;
}

function aptGet(args: string[], output: 'inherit' | 'ignore'): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn('apt-get', args, {
    stdio: ['ignore', output === 'inherit' ? process.stderr : 'ignore', output],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? 1));
  return promise;
}
