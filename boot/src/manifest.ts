import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFile } from './debian-packages.ts';

/** What a build writes, `delta.tar.gz` and `rootfs.tar.gz` for people, the rest for VMs. */
export const bootFileNames = [
  'vmlinux',
  'initrd.img',
  'delta.tar.gz',
  'rootfs.tar.gz',
  'rootfs.vhd',
] as const;

export type BootFileName = (typeof bootFileNames)[number];

/** Digest of an input and the state of the file when it was taken, so that a file is not read twice. */
interface InputDigest {
  stamp: string;
  sha256: string;
}

/** `boot.json` beside the boot files: what they were made from. */
export interface Manifest {
  /** Digest over all inputs. */
  key: string;
  kernelRelease: string;
  /** `name=version` of each Debian package. */
  packages: string[];
  /** By path. */
  inputs: Record<string, InputDigest>;
  files: Record<BootFileName, { size: number; sha256: string }>;
}

const manifestName = 'boot.json';

export async function readManifest(directory: string): Promise<Manifest | undefined> {
  return readFile(join(directory, manifestName), 'utf8').then(
    (text) => JSON.parse(text) as Manifest,
    () => undefined,
  );
}

export async function writeManifest(directory: string, manifest: Manifest): Promise<void> {
  await writeFile(join(directory, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Whether the files that the manifest tells of are there, by their sizes. */
export async function areFilesPresent(directory: string, manifest: Manifest): Promise<boolean> {
  for (const name of bootFileNames) {
    const size = await stat(join(directory, name)).then(
      (found) => found.size,
      () => -1,
    );
    if (size !== manifest.files[name]?.size) return false;
  }
  return true;
}

/** The SHA-256 of a file; from `known` when the file has not changed since. */
export async function digestInput(
  path: string,
  known: Record<string, InputDigest> = {},
): Promise<InputDigest> {
  const { size, mtimeMs, ino } = await stat(path);
  const stamp = `${size} ${mtimeMs} ${ino}`;
  const before = known[path];
  return before?.stamp === stamp ? before : { stamp, sha256: await sha256OfFile(path) };
}
