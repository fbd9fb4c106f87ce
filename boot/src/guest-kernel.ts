import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { unpackPackage } from './debian-packages.ts';
import { decompress } from './decompress.ts';
import { FileTree } from './file-tree.ts';
import { rootfsModules } from './guest-modules.ts';
import { extractVmlinux } from './kernel-image.ts';
import { KernelModules, moduleName, parseKernelModule } from './kernel-modules.ts';
import { readTar } from './tar-reader.ts';
import { writeTar } from './tar-writer.ts';

export interface GuestKernel {
  /** For example `6.1.0-56-amd64`. */
  release: string;
  /** The uncompressed ELF. */
  vmlinux: Uint8Array;
  modules: KernelModules;
}

export interface GuestKernelOptions {
  /** A linux-image package's .deb. */
  package: string;
  /** Unpacking takes 20 s, so what comes of it is kept here, under `key`. */
  cacheDir: string;
  /** Changes with the package and with the modules that are wanted. */
  key: string;
  signal?: AbortSignal | undefined;
}

/** Hardware that no VM has makes up most of the modules. */
const unwantedModules = /\/(gpu|media|ethernet|wireless|sound|usb|infiniband|staging|iio)\//;

/** The kernel, and of its modules those that a guest may load with what they need. */
export async function loadGuestKernel(options: GuestKernelOptions): Promise<GuestKernel> {
  const name = `kernel-${options.key.slice(0, 16)}.tar`;
  const kept = join(options.cacheDir, name);
  const tree = await readKept(kept);
  if (tree) return readKernel(tree);
  const selected = await selectFromPackage(options.package, options.signal);
  await mkdir(options.cacheDir, { recursive: true });
  const unfinished = `${kept}.${process.pid}`;
  try {
    await pipeline(writeTar(selected), createWriteStream(unfinished), { signal: options.signal });
    for (const old of await readdir(options.cacheDir)) {
      if (/^kernel-[0-9a-f]{16}\.tar$/.test(old)) await rm(join(options.cacheDir, old), { force: true });
    }
    await rename(unfinished, kept);
  } finally {
    await rm(unfinished, { force: true });
  }
  return readKernel(selected);
}

async function readKept(path: string): Promise<FileTree | undefined> {
  const file = await open(path).catch(() => undefined);
  if (!file) return undefined;
  await using stream = file.createReadStream({ highWaterMark: 1 << 20 });
  return await readTar(stream, { name: path });
}

function readKernel(tree: FileTree): GuestKernel {
  const release = /^lib\/modules\/([^/]+)\//;
  let found = '';
  const modules = tree.sorted().flatMap(([path, entry]) => {
    const match = release.exec(path);
    if (!match || entry.type !== 'file' || !path.endsWith('.ko')) return [];
    found = match[1] as string;
    return parseKernelModule(path.slice(match[0].length), entry.content);
  });
  return {
    release: found,
    vmlinux: fileContent(tree, 'vmlinux'),
    modules: new KernelModules(modules, builtinModules(tree, `lib/modules/${found}`)),
  };
}

/** A tree with `vmlinux`, and below `lib/modules` what {@link rootfsModules} asks for. */
async function selectFromPackage(file: string, signal: AbortSignal | undefined): Promise<FileTree> {
  const action = `Cannot take the kernel from "${file}"`;
  const unpacked = await unpackPackage(
    file,
    // Debian 13 has modules in /usr/lib, and compressed.
    (path) =>
      /^boot\/vmlinuz-/.test(path) ||
      (/^(usr\/)?lib\/modules\//.test(path) &&
        /(\.ko(\.xz)?|\/modules\.builtin)$/.test(path) &&
        !unwantedModules.test(path)),
    signal,
  );
  const entries = unpacked.sorted();
  const image = entries.find(([path]) => path.startsWith('boot/vmlinuz-'))?.[0];
  if (!image) throw new Error(`${action}: it has no /boot/vmlinuz, is it a linux-image package?`);
  const release = image.slice('boot/vmlinuz-'.length);
  const folder = `lib/modules/${release}`;
  const contents = new Map<string, Uint8Array>();
  for (const [path, entry] of entries) {
    if (entry.type === 'file') contents.set(path.replace(/^usr\//, ''), entry.content);
  }
  const packed = [...contents].filter(([path]) => path.includes('.ko'));
  const parsed = [];
  for (const [path, content] of packed) {
    const plain = path.endsWith('.ko') ? content : await decompress(content, action, signal);
    parsed.push(parseKernelModule(path.slice(folder.length + 1).replace(/\.ko\..*/, '.ko'), plain));
  }
  const tree = new FileTree();
  tree.file('vmlinux', await extractVmlinux(fileContent(unpacked, image), image, signal));
  tree.file(`${folder}/modules.builtin`, contents.get(`${folder}/modules.builtin`) ?? '');
  const modules = new KernelModules(parsed, builtinModules(tree, folder));
  for (const { path, content } of modules.loadOrder(rootfsModules)) tree.file(`${folder}/${path}`, content);
  return tree;
}

function builtinModules(tree: FileTree, folder: string): string[] {
  const list = Buffer.from(fileContent(tree, `${folder}/modules.builtin`)).toString('utf8');
  return list.split('\n').filter(Boolean).map(moduleName);
}

function fileContent(tree: FileTree, path: string): Uint8Array {
  const entry = tree.get(path);
  if (entry?.type !== 'file')
    throw new Error(`Cannot read "${path}": it is not there, is the kernel package whole?`);
  return entry.content;
}
