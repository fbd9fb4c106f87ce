import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Phase, phaseChannel } from '@hcsshim/hcs';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { writeVhd } from '../contract/linux-harness.ts';
import type { Monitor } from '../monitor.ts';
import { bootDocument, reasonNotToBoot } from './boot-document.ts';
import { buildCommandLine } from './command-line.ts';
import { planMachine } from './machine.ts';
import { MachineMemory } from './machine-memory.ts';
import { createQemuMonitorKind, type QemuOptions } from './qemu-monitor.ts';
import { findQemu } from './qemu-program.ts';
import { VirtualMachine } from './virtual-machine.ts';

const bridgePort = 0x40000000;
/** A boot under emulation lasts 8 s on a quiet machine, in milliseconds. */
const patience = 180_000;

const skip = (await reasonNotToBoot()) ?? false;
let root: string;
const phases: string[] = [];
const log: string[] = [];
const notePhase = (message: unknown): void => {
  phases.push((message as Phase).name);
};
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'hcs-'));
  phaseChannel.subscribe(notePhase);
});
after(async () => {
  phaseChannel.unsubscribe(notePhase);
  await rm(root, { recursive: true, force: true });
});

/** A monitor in a directory of its own; its command line says `words` to the kernel. */
async function createMonitor(options: QemuOptions = {}, words = ''): Promise<Monitor> {
  const kind = createQemuMonitorKind({
    cacheDirectory: join(root, 'cache'),
    log: (message) => log.push(message),
    ...options,
  });
  const directory = await mkdtemp(join(root, 'vm-'));
  return kind.create({ id: 'test', runtimeId: randomUUID(), document: documentWith(words), directory });
}

function documentWith(words: string): ComputeSystemDocument {
  const document = bootDocument();
  const kernel = document.VirtualMachine?.Chipset.LinuxKernelDirect;
  assert.ok(kernel);
  kernel.KernelCmdLine = `${words} ${kernel.KernelCmdLine}`;
  return document;
}

/** Starts the VM and waits until its agent has dialled. Returns the phases that it went through. */
async function startAndMeet(monitor: Monitor): Promise<string[]> {
  const listener = await monitor.listen(bridgePort);
  phases.length = 0;
  await monitor.start({ signal: AbortSignal.timeout(patience) });
  const bridge = await listener.accept({ signal: AbortSignal.timeout(patience) });
  bridge.on('error', () => {});
  return [...phases];
}

describe('a VM that boots', { skip }, () => {
  test('dials its host, takes and gives back disks, and powers off when asked', {
    timeout: patience,
  }, async () => {
    await using monitor = await createMonitor({ templates: false });
    assert.deepEqual(await startAndMeet(monitor), ['qemu: boot', 'qemu: start']);
    const disk = join(root, 'disk,with "odd" name.vhd');
    await writeVhd(disk, 1024 * 1024);
    for (const [controller, lun] of [
      [0, 63],
      [1, 0],
    ] as const) {
      await monitor.attachScsi(controller, lun, { Type: 'VirtualDisk', Path: disk, ReadOnly: true }, {});
    }
    await monitor.detachScsi(0, 63, {});
    await monitor.attachScsi(0, 63, { Type: 'VirtualDisk', Path: disk, ReadOnly: true }, {});
    await assert.rejects(
      monitor.attachScsi(2, 0, { Type: 'VirtualDisk', Path: disk }, {}),
      /controllers 0 to 1, name more of them/,
    );
    await assert.rejects(monitor.detachScsi(1, 7, {}), { code: 'ERROR_NOT_FOUND' });
    await assert.rejects(monitor.attachScsi(1, 7, { Type: 'PassThru', Path: disk }, {}), {
      code: 'ERROR_INVALID_DATA',
    });
    await monitor.shutdown({});
    assert.deepEqual(await monitor.exited, { type: 'GracefulExit', reason: 'the guest powered off' });
    assert.deepEqual(monitor.processIds, []);
  });

  test('tells why its kernel panicked', { timeout: patience }, async () => {
    await using monitor = await createMonitor({ templates: false }, 'rdinit=/nonexistent');
    await monitor.start({});
    const { type, reason } = await monitor.exited;
    assert.equal(type, 'UnexpectedExit');
    assert.match(reason, /^the guest kernel panicked: VFS: Unable to mount root fs/);
  });

  test('shows its console where its document says', { timeout: patience }, async () => {
    const path = join(root, 'com1');
    const document = documentWith('rdinit=/nonexistent');
    assert.ok(document.VirtualMachine?.Devices);
    document.VirtualMachine.Devices.ComPorts = { '0': { NamedPipe: path } };
    const directory = await mkdtemp(join(root, 'vm-'));
    const kind = createQemuMonitorKind({ cacheDirectory: join(root, 'cache') });
    await using monitor = await kind.create({ id: 'test', runtimeId: randomUUID(), document, directory });
    await monitor.start({});
    let console = '';
    for await (const piece of connect(path)) console += piece;
    assert.match(console, /Kernel panic - not syncing: VFS/);
    await monitor.exited;
  });

  test('tells of a panic while its agent runs', { timeout: patience }, async () => {
    const cache = join(root, 'cache');
    const qemu = await findQemu(cache);
    const document = documentWith('unknown_nmi_panic=1') as Parameters<typeof planMachine>[1];
    const plan = await planMachine('test', document, qemu, { name: 'tcg', cpuModel: 'max' });
    using memory = new MachineMemory(plan.machine.memoryMb);
    const vm = await VirtualMachine.launch({
      program: qemu.path,
      arguments: buildCommandLine(plan.machine, { disks: plan.disks, incoming: false }),
      memoryFd: memory.fd,
      onLaunch: () => {},
    });
    await vm.bootstrap.ready({ timeout: patience });
    await vm.qmp.execute('inject-nmi');
    const { type, reason } = await vm.exited;
    assert.equal(type, 'UnexpectedExit');
    assert.match(reason, /^the guest kernel panicked/);
  });

  test('that is killed ends unexpectedly, and its streams end', { timeout: patience }, async () => {
    await using monitor = await createMonitor({ templates: false });
    const listener = await monitor.listen(bridgePort);
    await monitor.start({});
    const bridge = await listener.accept();
    const closed = once(bridge, 'close').catch(() => {});
    process.kill(monitor.processIds[0] as number, 'SIGKILL');
    assert.deepEqual(await monitor.exited, {
      type: 'UnexpectedExit',
      reason: 'QEMU was killed by signal SIGKILL',
    });
    await closed;
  });

  test('does not start with what is no kernel, and QEMU says so', { timeout: patience }, async () => {
    const document = bootDocument();
    const kernel = document.VirtualMachine?.Chipset.LinuxKernelDirect;
    assert.ok(kernel);
    kernel.KernelFilePath = import.meta.filename;
    const directory = await mkdtemp(join(root, 'vm-'));
    const kind = createQemuMonitorKind({ cacheDirectory: join(root, 'cache'), templates: false });
    await using monitor = await kind.create({ id: 'test', runtimeId: randomUUID(), document, directory });
    await assert.rejects(monitor.start({}), /Cannot start QEMU: QEMU ended with exit code 1: .*kernel/s);
  });
});

describe('templates', { skip }, () => {
  const templates = (): string => join(root, 'cache/templates');
  const restored = [
    'qemu: copy the memory',
    'qemu: restore the state',
    'qemu: clone',
    'qemu: add devices',
    'qemu: resume',
  ];

  test('are made once by VMs that start together, and used by all', { timeout: patience }, async () => {
    const monitors = await Promise.all([createMonitor(), createMonitor()]);
    const met = await Promise.all(monitors.map(startAndMeet));
    const names = met.flat();
    assert.equal(phases.filter((name) => name === 'qemu: boot the template').length, 1, names.join(', '));
    assert.equal(phases.filter((name) => name === 'qemu: resume').length, 2);
    for (const monitor of monitors) await monitor[Symbol.asyncDispose]();
  });

  test('spare the next VM the boot', { timeout: patience }, async () => {
    await using monitor = await createMonitor();
    assert.deepEqual(await startAndMeet(monitor), [...restored, 'qemu: start']);
    await monitor.pause({});
    await monitor.resume({});
    await monitor.shutdown({});
    assert.equal((await monitor.exited).type, 'GracefulExit');
  });

  test('that cannot be restored are thrown away, and the VM boots', { timeout: patience }, async () => {
    const [key] = (await readdir(templates())) as [string];
    const record = join(templates(), key, 'meta.json');
    const garbage = Buffer.alloc(100_000, 'garbage');
    await writeFile(join(templates(), key, 'state'), garbage);
    const stateDigest = createHash('sha256').update(garbage).digest('hex');
    await writeFile(record, JSON.stringify({ ...JSON.parse(await readFile(record, 'utf8')), stateDigest }));
    log.length = 0;
    await using monitor = await createMonitor();
    assert.ok((await startAndMeet(monitor)).includes('qemu: boot'));
    assert.match(log.join(), /boots instead of beginning as a clone/);
    assert.deepEqual(await readdir(templates()), []);
  });
});
