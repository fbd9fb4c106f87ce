import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import {
  appendFile,
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
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip, createGzip, zstdCompress } from 'node:zlib';
import { encodeVhdFooter, MemoryStorage } from '@hcsshim/ext4';
import { makeBusyboxBase } from './busybox-base.ts';
import { writeCpio } from './cpio.ts';
import {
  type DebianPackage,
  downloadPackages,
  type PackageSelection,
  resolvePackages,
  sha256OfFile,
  unpackPackage,
} from './debian-packages.ts';
import { makeExt4, writeExt4 } from './ext4.ts';
import { FileTree } from './file-tree.ts';
import { makeGuestDelta } from './guest-delta.ts';
import { loadGuestKernel } from './guest-kernel.ts';
import { rootfsModules } from './guest-modules.ts';
import { makeInitrd } from './initrd.ts';
import {
  areFilesPresent,
  type BootFileName,
  bootFileNames,
  digestInput,
  type Manifest,
  readManifest,
  writeManifest,
} from './manifest.ts';
import { readTar } from './tar-reader.ts';
import { writeTar } from './tar-writer.ts';

/** Debian packages that the guest is made of; what they depend on comes with them. */
const guestPackages: PackageSelection = {
  names: [
    'linux-image-amd64',
    'busybox-static',
    'crun',
    'e2fsprogs',
    'libatomic1',
    'libc6',
    'libgcc-s1',
    'libstdc++6',
  ],
  leaves: /^linux-image-\d/,
};

/** Fixed, so that the same tree makes the same bytes. */
const rootDisk = {
  uuid: '6e8c5f2a-1d0b-4c7e-9a53-0f4b8d2c7e61',
  label: 'hcsshim-root',
};

export interface BootFilesOptions {
  /** Where the files go; it is made when it does not exist. */
  outDir: string;
  /** The guest agent, bundled to one CommonJS file. */
  agentBundle: string;
  /** Base of the root file system, a tar or a gzipped tar. @default made from Debian's busybox-static */
  base?: string;
  /** The Node program that runs the agent. @default the one that runs this */
  node?: string;
  /**
   * Keeps what was downloaded and unpacked.
   * @default boot/ in $HCSSHIM_CACHE, /var/cache/hcsshim for root, $XDG_CACHE_HOME/hcsshim
   */
  cacheDir?: string;
  /** Called with what is being done and the share of the whole that is done, from 0 to 1. */
  onProgress?: (step: string, fraction: number) => void;
  signal?: AbortSignal;
}

/** Paths of what a VM boots. */
export interface BootFiles {
  /** The uncompressed kernel, `vmlinux`. */
  kernel: string;
  initrd: string;
  /** The root disk, a fixed VHD with an ext4 file system. */
  rootfsVhd: string;
  /** Digest over all that went into the files: two builds with the same key have the same bytes. */
  key: string;
}

/**
 * Makes the boot files in `outDir`, or finds that those there are made from the same inputs and does nothing.
 * Several processes may do so at once: each file appears whole. Throws when a program of the host is missing
 * (with the Debian package to install), apt knows a package no longer, or an input cannot be read.
 */
export async function ensureBootFiles(options: BootFilesOptions): Promise<BootFiles> {
  const { outDir, signal, onProgress = () => {}, cacheDir = defaultCacheDirectory() } = options;
  onProgress('looking up packages', 0);
  const packages = await resolvePackages(guestPackages, cacheDir, signal);
  const before = await readManifest(outDir);
  const inputs = await digestInputs(options, before);
  const key = buildKey(packages, inputs, await digestOfSources());
  const result: BootFiles = {
    kernel: join(outDir, 'vmlinux'),
    initrd: join(outDir, 'initrd.img'),
    rootfsVhd: join(outDir, 'rootfs.vhd'),
    key,
  };
  if (before?.key === key && (await areFilesPresent(outDir, before))) return result;

  onProgress('downloading packages', 0.02);
  const files = await downloadPackages(
    packages,
    cacheDir,
    (fraction) => onProgress('downloading packages', 0.02 + 0.38 * fraction),
    signal,
  );
  await mkdir(outDir, { recursive: true });
  const work = await mkdtemp(join(outDir, '.build-'));
  try {
    const kernelRelease = await build({ options, packages, files, inputs, cacheDir, work, key, onProgress });
    signal?.throwIfAborted();
    const manifest: Manifest = {
      key,
      kernelRelease,
      packages: packages.map(({ name, version }) => `${name}=${version}`),
      inputs: Object.fromEntries(
        Object.values(inputs).map(({ path, stamp, sha256 }) => [path, { stamp, sha256 }]),
      ),
      files: await describeFiles(work),
    };
    await writeManifest(work, manifest);
    // The manifest last: what it tells of is there.
    for (const name of [...bootFileNames, 'boot.json']) await rename(join(work, name), join(outDir, name));
  } catch (error) {
    // A stream that was given up says only that, the signal says why.
    signal?.throwIfAborted();
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  onProgress('boot files ready', 1);
  return result;
}

interface Build {
  options: BootFilesOptions;
  packages: DebianPackage[];
  /** Package name → .deb. */
  files: Map<string, string>;
  inputs: Inputs;
  cacheDir: string;
  /** The files are made here. */
  work: string;
  key: string;
  onProgress: (step: string, fraction: number) => void;
}

/** Makes all files in `work`; returns the kernel's release. */
async function build({
  options,
  packages,
  files,
  inputs,
  cacheDir,
  work,
  key,
  onProgress,
}: Build): Promise<string> {
  const { signal } = options;
  onProgress('unpacking the kernel', 0.4);
  const image = packages.find(({ name }) => guestPackages.leaves.test(name)) as DebianPackage;
  const kernel = await loadGuestKernel({
    package: files.get(image.name) as string,
    cacheDir,
    key: digest([image.sha256, ...rootfsModules]),
    signal,
  });
  await writeFile(join(work, 'vmlinux'), kernel.vmlinux);

  onProgress('unpacking packages', 0.6);
  const unpacked = await unpackAll(packages, files, signal);
  const busybox = unpacked.get('bin/busybox');
  if (busybox?.type !== 'file') {
    throw new Error('Cannot take busybox from the Debian package "busybox-static": it has no /bin/busybox');
  }

  onProgress('making the initial ram disk', 0.63);
  const initrd = writeCpio(makeInitrd(kernel.modules, busybox.content));
  await writeFile(join(work, 'initrd.img'), await promisify(zstdCompress)(initrd));

  onProgress('making the root file system', 0.65);
  const delta = makeGuestDelta({
    node: await readFile(inputs.node.path),
    agent: await readFile(inputs.agent.path),
    packages: unpacked,
    modules: kernel.modules,
    kernelRelease: kernel.release,
  });
  const rootfs = inputs.base ? await readBase(inputs.base.path) : makeBusyboxBase(busybox.content);
  rootfs.overlay(delta);
  await Promise.all([
    writeTarball(delta, join(work, 'delta.tar.gz'), signal),
    writeTarball(rootfs, join(work, 'rootfs.tar.gz'), signal),
  ]);

  onProgress('making the root disk', 0.9);
  const disk = join(work, 'rootfs.vhd');
  const diskSize = makeExt4({ tree: rootfs, output: disk, ...rootDisk, signal });
  await appendFile(disk, encodeVhdFooter({ size: diskSize, id: Buffer.from(key, 'hex').subarray(0, 16) }));
  return kernel.release;
}

interface Input {
  path: string;
  stamp: string;
  sha256: string;
}

interface Inputs {
  node: Input;
  agent: Input;
  base?: Input;
}

async function digestInputs(options: BootFilesOptions, before: Manifest | undefined): Promise<Inputs> {
  const input = async (path: string, what: string): Promise<Input> => ({
    path,
    ...(await digestInput(path, before?.inputs).catch((cause: Error) => {
      throw new Error(`Cannot read ${what} "${path}": ${cause.message}`, { cause });
    })),
  });
  return {
    node: await input(options.node ?? process.execPath, 'the Node program'),
    agent: await input(options.agentBundle, 'the agent bundle'),
    ...(options.base === undefined ? {} : { base: await input(options.base, 'the base tarball') }),
  };
}

function buildKey(packages: readonly DebianPackage[], inputs: Inputs, sources: string): string {
  return digest([
    ...packages.map(({ name, version, sha256 }) => `${name} ${version} ${sha256}`),
    `node ${inputs.node.sha256}`,
    `agent ${inputs.agent.sha256}`,
    `base ${inputs.base?.sha256 ?? 'busybox'}`,
    `sources ${sources}`,
    // Made by another package, whose sources are not in the digest.
    `footer ${Buffer.from(encodeVhdFooter({ size: 512, id: new Uint8Array(16) })).toString('hex')}`,
    `ext4 ${sampleDisk()}`,
    `zlib ${process.versions.zlib} zstd ${process.versions.zstd}`,
  ]);
}

/** Digest of a small disk: it changes when disks are written in another way. */
function sampleDisk(): string {
  const tree = new FileTree();
  tree.file('folder/file', 'content');
  const disk = new MemoryStorage();
  writeExt4(disk, { tree, ...rootDisk });
  return createHash('sha256').update(disk.bytes).digest('hex');
}

/** Of this package's sources, or of the one file that they were bundled to. */
async function digestOfSources(): Promise<string> {
  const directory = import.meta.dirname;
  const names = (await readdir(directory))
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .sort();
  const files = names.includes('boot-files.ts')
    ? names.map((name) => join(directory, name))
    : [import.meta.filename];
  return digest(await Promise.all(files.map(sha256OfFile)));
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex');
}

/** The files of all packages but the kernel's in one tree, without what only people read. */
async function unpackAll(
  packages: readonly DebianPackage[],
  files: Map<string, string>,
  signal: AbortSignal | undefined,
): Promise<FileTree> {
  const tree = new FileTree();
  // Whether a release ships its files below / or below /usr, they are found by either path.
  for (const folder of ['bin', 'lib', 'lib64', 'sbin']) {
    tree.directory(`usr/${folder}`);
    tree.symlink(folder, `usr/${folder}`);
  }
  for (const { name } of packages) {
    if (name.startsWith('linux-image-')) continue;
    tree.overlay(
      await unpackPackage(files.get(name) as string, (path) => !path.startsWith('usr/share'), signal),
    );
  }
  return tree;
}

async function readBase(path: string): Promise<FileTree> {
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(2), 0, 2, 0);
  const isGzip = buffer[0] === 0x1f && buffer[1] === 0x8b;
  const stream = file.createReadStream({ start: 0, autoClose: false, highWaterMark: 1 << 20 });
  return await readTar(isGzip ? stream.compose(createGunzip()) : stream, { name: path });
}

async function writeTarball(tree: FileTree, path: string, signal: AbortSignal | undefined): Promise<void> {
  await pipeline(writeTar(tree), createGzip({ level: 6 }), createWriteStream(path), { signal });
}

async function describeFiles(directory: string): Promise<Manifest['files']> {
  const entries = await Promise.all(
    bootFileNames.map(async (name): Promise<[BootFileName, { size: number; sha256: string }]> => {
      const path = join(directory, name);
      return [name, { size: (await stat(path)).size, sha256: await sha256OfFile(path) }];
    }),
  );
  return Object.fromEntries(entries) as Manifest['files'];
}

function defaultCacheDirectory(): string {
  const { HCSSHIM_CACHE, XDG_CACHE_HOME } = process.env;
  if (HCSSHIM_CACHE) return join(HCSSHIM_CACHE, 'boot');
  if (process.getuid?.() === 0) return '/var/cache/hcsshim/boot';
  return join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'hcsshim/boot');
}
