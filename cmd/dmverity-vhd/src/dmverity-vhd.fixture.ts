import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Starts the program from its sources. */
export function startDmverityVhd(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'main.ts')];
  return spawn(process.execPath, [...program, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
}

/** Runs the program to its end. */
export async function dmverityVhd(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const running = startDmverityVhd(args, env);
  const [stdout, stderr, [code]] = await Promise.all([
    running.stdout!.toArray(),
    running.stderr!.toArray(),
    once(running, 'close'),
  ]);
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

export class TestDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'dmverity-vhd-test-'));

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  list(...names: string[]): string[] {
    return readdirSync(this.file(...names)).sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Starts a server on a free port of this machine, or on a socket. Returns its host and port. */
export async function listen(server: Server, socket?: string): Promise<string> {
  if (socket === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socket);
  await once(server, 'listening');
  const address = server.address() as AddressInfo | string;
  return typeof address === 'string' ? address : `127.0.0.1:${address.port}`;
}

/** An archive of files and directories (names that end with `/`). */
export function tar(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const parts = Object.entries(files).flatMap(([name, content]) => {
    const body = Buffer.from(content as string);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(name.endsWith('/') ? '0000755' : '0000644', 100);
    header.write('0000000', 108);
    header.write('0000000', 116);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    header.write('14524242400', 136);
    header.write(name.endsWith('/') ? '5' : '0', 156);
    header.write('ustar\x0000', 257);
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0`, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The layers of the image that most tests use, the lowest first. */
export const layers = [
  tar({ 'etc/': '', 'etc/motd': 'base\n', big: Buffer.alloc(1 << 20, 'content') }),
  tar({ 'etc/.wh.motd': '', 'etc/top': 'top\n' }),
];

export const diffIds = layers.map((layer) => sha256(layer));

function configOf(archives: readonly Uint8Array[], architecture = 'amd64'): string {
  const diff_ids = archives.map((layer) => `sha256:${sha256(layer)}`);
  return JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids } });
}

/** As `docker save` writes it, of one image or several. */
export function dockerArchive(images: Readonly<Record<string, readonly Uint8Array[]>>): Buffer {
  const files: Record<string, string | Uint8Array> = {};
  const manifest = Object.entries(images).map(([name, archives]) => {
    const config = configOf(archives);
    const Layers = archives.map((layer) => `${sha256(layer).slice(0, 32)}/layer.tar`);
    for (const [index, path] of Layers.entries()) files[path] = archives[index]!;
    files[`${sha256(config)}.json`] = config;
    return { Config: `${sha256(config)}.json`, RepoTags: [name], Layers };
  });
  return tar({ ...files, 'manifest.json': JSON.stringify(manifest) });
}

export interface Blob {
  mediaType: string;
  bytes: Uint8Array;
}

export function descriptorOf({ mediaType, bytes }: Blob): {
  mediaType: string;
  digest: string;
  size: number;
} {
  return { mediaType, digest: `sha256:${sha256(bytes)}`, size: bytes.length };
}

/** What a registry has of an image, the manifest last. */
export function imageBlobs(
  archives: readonly Uint8Array[],
  {
    kind = 'oci',
    compress = (bytes) => bytes,
    architecture = 'amd64',
  }: { kind?: 'oci' | 'docker'; compress?: (bytes: Uint8Array) => Uint8Array; architecture?: string } = {},
): Blob[] {
  const isOci = kind === 'oci';
  const config = {
    mediaType: isOci
      ? 'application/vnd.oci.image.config.v1+json'
      : 'application/vnd.docker.container.image.v1+json',
    bytes: Buffer.from(configOf(archives, architecture)),
  };
  const blobs = archives.map((layer) => ({
    mediaType: isOci
      ? 'application/vnd.oci.image.layer.v1.tar+gzip'
      : 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    bytes: compress(layer),
  }));
  const mediaType = isOci
    ? 'application/vnd.oci.image.manifest.v1+json'
    : 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: descriptorOf(config),
    layers: blobs.map(descriptorOf),
  };
  return [config, ...blobs, { mediaType, bytes: Buffer.from(JSON.stringify(manifest)) }];
}

export const hasVeritysetup = spawnSync('veritysetup', ['--version']).status === 0;
const hasE2fsck = spawnSync('e2fsck', ['-V']).status === 0;

/** Fails when e2fsck has anything to say about the file system at the begin of the file. */
export function assertClean(image: string): void {
  if (!hasE2fsck) return;
  const { status, stdout } = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' });
  assert.match(stdout, /^(Pass \d: .*\n){5}.*: \d+\/\d+ files .*, \d+\/\d+ blocks\n$/);
  assert.equal(status, 0, stdout);
}
