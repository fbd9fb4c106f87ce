import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { HcsError } from '@hcsshim/hcs';
import { rememberFact } from './remembered-fact.ts';

/** The QEMU at hand. */
export interface QemuProgram {
  path: string;
  /** For example `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`. */
  version: string;
  /** Its newest q35 under its versioned name, so that a saved VM still fits after an update of QEMU. */
  machineType: string;
  /** Changes when the file does. */
  identity: string;
}

const programName = 'qemu-system-x86_64';
const run = promisify(execFile);

/**
 * Finds QEMU and asks it for its version and machines; remembers the answers until the file changes.
 * Throws HCS_E_SERVICE_NOT_AVAILABLE when there is none.
 *
 * @param path @default the first `qemu-system-x86_64` on PATH
 */
export async function findQemu(cacheDirectory: string, path?: string): Promise<QemuProgram> {
  const found = path ?? (await findOnPath());
  const identity = await identify(found);
  const fact = await rememberFact(cacheDirectory, 'qemu', identity, () => ask(found));
  return { path: found, identity, ...fact };
}

async function ask(path: string): Promise<{ version: string; machineType: string }> {
  try {
    const options = { timeout: 20_000, maxBuffer: 1024 * 1024 };
    const [version, machines] = await Promise.all([
      run(path, ['--version'], options),
      run(path, ['-machine', 'help'], options),
    ]);
    return { version: parseVersion(version.stdout), machineType: parseMachineType(machines.stdout) };
  } catch (error) {
    throw unavailable(`"${path}" does not tell its version and machines`, error);
  }
}

/** The version in the first line of `--version`. */
function parseVersion(output: string): string {
  const [, version] = /^QEMU emulator version (.+)$/m.exec(output) ?? [];
  if (version === undefined) throw new Error('its --version names no version');
  return version;
}

/** The versioned machine that `q35` stands for in `-machine help`. */
function parseMachineType(output: string): string {
  const [, machineType] = /^q35\s.*\(alias of (pc-q35-[\d.]+)\)/m.exec(output) ?? [];
  if (machineType === undefined) throw new Error('its machines lack q35');
  return machineType;
}

async function findOnPath(): Promise<string> {
  for (const directory of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(directory, programName);
    const usable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return path;
  }
  throw unavailable(`there is no ${programName} on PATH`);
}

async function identify(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
    return [path, dev, ino, size, mtimeNs].join(':');
  } catch (error) {
    throw unavailable(`"${path}" cannot be read`, error);
  }
}

function unavailable(problem: string, cause?: unknown): HcsError {
  return new HcsError({
    action: 'Cannot run a VM',
    problem: `${problem}, install QEMU (Debian package qemu-system-x86)`,
    code: 'HCS_E_SERVICE_NOT_AVAILABLE',
    cause,
  });
}
