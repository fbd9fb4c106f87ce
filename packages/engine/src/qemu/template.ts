import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HcsError, phase, untilAborted, withDeadline } from '@hcsshim/hcs';
import { copySparse } from '@hcsshim/linux';
import { buildCommandLine, type DiskSlot, InheritedFd, type Machine } from './command-line.ts';
import { MachineMemory } from './machine-memory.ts';
import type { QemuProgram } from './qemu-program.ts';
import type { QmpClient, QmpEvent } from './qmp.ts';
import { saveMemory } from './save-memory.ts';
import type { Template } from './template-store.ts';
import { VirtualMachine } from './virtual-machine.ts';

/** What saving and cloning work on. */
export interface TemplateOptions {
  qemu: QemuProgram;
  machine: Machine;
  /** The only disk a template has; nobody may write to it. */
  rootDisk: DiskSlot;
  /** For the errors and the phases. */
  subject: string;
  signal?: AbortSignal | undefined;
  /** Called with each QEMU as soon as it runs, so that its process is known should the owner die. */
  onLaunch: (vm: VirtualMachine) => void;
}

/** In milliseconds, from the start of QEMU to the agent's word that it is up. */
const agentTimeout = 90_000;
/** In milliseconds. Measured: 0.1 s. */
const migrationTimeout = 60_000;

/**
 * Boots a VM without vsock and without other disks, waits for its agent, and saves it. The vsock is left out
 * because QEMU does not migrate a vhost-user-vsock device; a clone gets one by hot-plug.
 */
export async function makeTemplate(
  options: TemplateOptions & { directory: string },
  template: Template,
): Promise<void> {
  const { qemu, machine, rootDisk, subject, signal, onLaunch, directory } = options;
  using memory = new MachineMemory(machine.memoryMb);
  const vm = await phase('qemu: boot the template', subject, async () => {
    const booting = await VirtualMachine.launch({
      program: qemu.path,
      arguments: buildCommandLine(machine, { name: subject, disks: [rootDisk], incoming: false }),
      memoryFd: memory.fd,
      signal,
      onLaunch,
    });
    try {
      await booting.orEnd('Cannot boot it', booting.bootstrap.ready({ signal, timeout: agentTimeout }));
      return booting;
    } catch (error) {
      await booting.terminate();
      signal?.throwIfAborted();
      const lastWords = booting.consoleText.trim().split('\n').at(-1);
      throw new HcsError({
        action: 'Cannot make a template',
        problem: `${(error as Error).message}; the console's last line is "${lastWords}"`,
        code: 'E_FAIL',
        cause: error,
      });
    }
  });
  try {
    await phase('qemu: save the template', subject, async () => {
      await vm.qmp.execute('stop', {}, { signal });
      await saveState(vm.qmp, join(directory, 'save.sock'), template.statePath, signal);
    });
  } finally {
    await vm.terminate();
  }
  await phase('qemu: save the memory', subject, () =>
    saveMemory(memory.path, template.memoryPath, { signal }),
  );
}

/** A VM that stands where the template was saved. It does not run yet. */
export async function cloneTemplate(options: TemplateOptions, template: Template): Promise<VirtualMachine> {
  const { qemu, machine, rootDisk, subject, signal, onLaunch } = options;
  using memory = new MachineMemory(machine.memoryMb);
  await using state = await open(template.statePath);
  // The memory is copied while QEMU starts: it does not look at it before the state comes in.
  const copying = phase('qemu: copy the memory', subject, () =>
    copySparse(template.memoryPath, memory.fd, { signal }),
  );
  copying.catch(() => {});
  const launching = VirtualMachine.launch({
    program: qemu.path,
    arguments: buildCommandLine(machine, { name: subject, disks: [rootDisk], incoming: true }),
    memoryFd: memory.fd,
    stateFd: state.fd,
    signal,
    onLaunch,
  });
  const [launched, copied] = await Promise.allSettled([launching, copying]);
  if (launched.status === 'rejected') throw launched.reason;
  const vm = launched.value;
  try {
    if (copied.status === 'rejected') throw copied.reason;
    await phase('qemu: restore the state', subject, () => restoreState(vm.qmp, signal));
    return vm;
  } catch (error) {
    await vm.terminate();
    throw error;
  }
}

/** The part of memory that lies in a shared file is not written to the stream: both sides have the file. */
const capabilities = {
  capabilities: [
    { capability: 'x-ignore-shared', state: true },
    { capability: 'events', state: true },
  ],
};

async function saveState(
  qmp: QmpClient,
  socketPath: string,
  statePath: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await qmp.execute('migrate-set-capabilities', capabilities, { signal });
  await withDeadline({ signal, timeout: migrationTimeout, action: 'Cannot save a VM' }, async (deadline) => {
    const written = Promise.withResolvers<void>();
    written.promise.catch(() => {});
    // QEMU 7.2 writes to no plain file, but to a socket.
    const server = createServer((stream) => {
      const file = createWriteStream(statePath, { mode: 0o600 });
      pipeline(stream, file, { signal: deadline }).then(written.resolve, written.reject);
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socketPath, resolve));
    try {
      await migrated(qmp, 'migrate', { uri: `unix:${socketPath}` }, deadline);
      await untilAborted(written.promise, deadline);
    } finally {
      server.close();
    }
  });
}

async function restoreState(qmp: QmpClient, signal: AbortSignal | undefined): Promise<void> {
  await qmp.execute('migrate-set-capabilities', capabilities, { signal });
  await migrated(qmp, 'migrate-incoming', { uri: `fd:${InheritedFd.state}` }, signal);
}

async function migrated(
  qmp: QmpClient,
  command: string,
  args: Record<string, unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isEnd = ({ event, data }: QmpEvent): boolean =>
    event === 'MIGRATION' && ['completed', 'failed', 'cancelled'].includes(String(data.status));
  const { data } = await qmp.executeUntil(command, args, isEnd, { signal, timeout: migrationTimeout });
  if (data.status !== 'completed') {
    throw new HcsError({
      action: `Cannot ${command === 'migrate' ? 'save' : 'restore'} a VM`,
      problem: `QEMU says "${data.status}"`,
      code: 'E_FAIL',
    });
  }
}
