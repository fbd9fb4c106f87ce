import assert from 'node:assert/strict';
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The program from its sources, as arguments of Node. */
export const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'main.ts')];

export interface Outcome {
  code: number | null;
  stderr: string;
}

/** Runs the program to its end. */
export function tar2ext4(
  args: readonly string[],
  { input, env = {} }: { input?: Uint8Array; env?: NodeJS.ProcessEnv } = {},
): Outcome {
  const { status, stderr } = spawnSync(process.execPath, [...program, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 60_000,
    ...(input ? { input } : { stdio: ['ignore', 'pipe', 'pipe'] }),
  });
  return { code: status, stderr };
}

/** Starts the program, to be interrupted. */
export function startTar2ext4(args: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(process.execPath, [...program, ...args], { timeout: 60_000, ...options });
}

/** An archive of files and directories (names that end with `/`). */
export function tar(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const parts = Object.entries(files).flatMap(([name, content]) => {
    const body = Buffer.from(content as string);
    const isDirectory = name.endsWith('/');
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(isDirectory ? '0000755' : '0000644', 100);
    header.write('0000000', 108);
    header.write('0000000', 116);
    header.write(body.length.toString(8).padStart(11, '0'), 124);
    header.write('14524242400', 136);
    header.write(isDirectory ? '5' : '0', 156);
    header.write('ustar\x0000', 257);
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0`, 148);
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export class TemporaryDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'tar2ext4-test-'));

  file(name: string): string {
    return join(this.path, name);
  }

  list(): string[] {
    return readdirSync(this.path).sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

const hasE2fsck = spawnSync('e2fsck', ['-V']).status === 0;

/** Fails when e2fsck has anything to say about the image. */
export function assertClean(image: string): void {
  if (!hasE2fsck) return;
  const { status, stdout } = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' });
  assert.match(stdout, /^(Pass \d: .*\n){5}.*: \d+\/\d+ files .*, \d+\/\d+ blocks\n$/);
  assert.equal(status, 0, stdout);
}
