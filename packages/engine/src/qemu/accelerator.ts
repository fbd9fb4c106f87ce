import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HcsError, phase } from '@hcsshim/hcs';
import { diesWithOwner } from '../dies-with-owner.ts';
import { probeExitCode, probeExitPort, probeFirmware } from './probe-program.ts';
import type { QemuProgram } from './qemu-program.ts';
import { rememberFact } from './remembered-fact.ts';

export type AcceleratorName = 'kvm' | 'tcg';

/** What executes the guest's instructions. */
export interface Accelerator {
  name: AcceleratorName;
  /** Value of QEMU's `-cpu`. */
  cpuModel: string;
  /** Why it is not KVM, in words. */
  reason?: string;
}

export interface AcceleratorOptions {
  /** `auto` takes KVM where it works, and the emulation TCG elsewhere. @default 'auto' */
  accelerator?: AcceleratorName | 'auto' | undefined;
  /** Where the answer is kept until the next boot of the host. */
  cacheDirectory: string;
}

const kvmDevice = '/dev/kvm';
/**
 * The host's own model first. On some hosts QEMU dies setting a model-specific register of it; the plain
 * ones ask for less.
 */
const kvmCpuModels = ['host,migratable=on', 'Nehalem', 'qemu64'];
const emulation = { name: 'tcg', cpuModel: 'max' } as const;
/** In milliseconds. A KVM that works needs 50; this is for a host under load. */
const probeTimeout = 3000;

/**
 * Chooses between KVM and emulation. That `/dev/kvm` exists says little: the device may be closed to us, and
 * there are hosts on which QEMU starts with it and the guest never gets anywhere. So a tiny guest is run,
 * once per boot of the host, version of QEMU and KVM device.
 * Throws ERROR_NOT_SUPPORTED when KVM was asked for and does not work.
 */
export async function chooseAccelerator(
  qemu: QemuProgram,
  options: AcceleratorOptions,
): Promise<Accelerator> {
  const wanted = options.accelerator ?? 'auto';
  if (wanted === 'tcg') return { ...emulation, reason: 'emulation was asked for' };
  const chosen = await rememberedProbe(qemu, options.cacheDirectory);
  if (wanted === 'kvm' && chosen.name !== 'kvm') {
    throw new HcsError({
      action: 'Cannot run a VM with KVM',
      problem: `${chosen.reason}, repair KVM or use the accelerator "auto"`,
      code: 'ERROR_NOT_SUPPORTED',
    });
  }
  return chosen;
}

async function rememberedProbe(qemu: QemuProgram, cacheDirectory: string): Promise<Accelerator> {
  const device = await stat(kvmDevice, { bigint: true }).catch(() => undefined);
  if (!device) return { ...emulation, reason: `there is no ${kvmDevice}` };
  const closed = await access(kvmDevice, constants.R_OK | constants.W_OK).then(
    () => false,
    () => true,
  );
  if (closed) {
    return { ...emulation, reason: `${kvmDevice} may not be opened, add the user to the group "kvm"` };
  }
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'latin1');
  const key = [bootId.trim(), qemu.identity, qemu.version, device.dev, device.ino, device.rdev].join(' ');
  return rememberFact(cacheDirectory, 'accelerator', key, () =>
    phase('qemu: probe KVM', qemu.path, () => probeKvm(qemu)),
  );
}

async function probeKvm(qemu: QemuProgram): Promise<Accelerator> {
  const failures: string[] = [];
  for (const cpuModel of kvmCpuModels) {
    const result = await probeAccelerator(qemu, { name: 'kvm', cpuModel });
    if (result === 'works') return { name: 'kvm', cpuModel };
    failures.push(`-cpu ${cpuModel}: ${result.problem}`);
    // A guest that hangs does so with every model, and each costs the whole deadline.
    if (result.hangs) break;
  }
  return { ...emulation, reason: `${kvmDevice} does not run a guest (${failures.join('; ')})` };
}

export type ProbeResult = 'works' | { problem: string; hangs: boolean };

/** Runs a guest of some 200 bytes and sees whether it comes to its end. */
export async function probeAccelerator(
  qemu: QemuProgram,
  { name, cpuModel }: Pick<Accelerator, 'name' | 'cpuModel'>,
): Promise<ProbeResult> {
  const directory = await mkdtemp(join(tmpdir(), 'hcsshim-probe-'));
  try {
    const firmware = join(directory, 'firmware');
    await writeFile(firmware, probeFirmware());
    return await runProbe([
      qemu.path,
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'q35', '-m', '32'],
      ...['-accel', name, '-cpu', cpuModel, '-bios', firmware],
      ...['-device', `isa-debug-exit,iobase=0x${probeExitPort.toString(16)},iosize=1`],
    ]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function runProbe(command: string[]): Promise<ProbeResult> {
  const { program, args } = diesWithOwner(command);
  return new Promise((resolve) => {
    execFile(program, args, { timeout: probeTimeout, killSignal: 'SIGKILL' }, (error, _stdout, stderr) => {
      if (error?.killed) {
        resolve({ problem: `the guest got nowhere within ${probeTimeout / 1000} s`, hangs: true });
      } else if (error?.code === probeExitCode) {
        resolve('works');
      } else {
        const words = stderr.trim().split('\n').at(-1) || error?.message || 'QEMU ended without a reason';
        resolve({ problem: words, hangs: false });
      }
    });
  });
}

/** Tells processors apart on which a saved guest must not go on: what it found out about them is in its memory. */
export async function processorIdentity({ name, cpuModel }: Accelerator): Promise<string> {
  if (name === 'tcg') return `tcg ${cpuModel}`;
  const cpuInfo = await readFile('/proc/cpuinfo', 'latin1');
  const lines = cpuInfo
    .split('\n\n', 1)[0]
    ?.split('\n')
    .filter((line) => /^(vendor_id|cpu family|model|stepping|microcode|flags)\s*:/.test(line));
  return `kvm ${cpuModel} ${createHash('sha256').update(String(lines)).digest('hex')}`;
}
