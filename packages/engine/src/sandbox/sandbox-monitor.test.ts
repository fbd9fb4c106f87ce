import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { ContractHarness } from '@hcsshim/hcs/contract';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { appendVhdFooter, openLinuxHarness } from '../contract/linux-harness.ts';
import { identifyProcess } from '../process-identity.ts';
import { StateDirectory } from '../state-directory.ts';
import { createSandboxMonitorKind } from './sandbox-monitor.ts';

const isRoot = process.geteuid?.() === 0;
const standInAgent = new URL('../contract/stand-in-agent.mjs', import.meta.url).pathname;
const document: ComputeSystemDocument = {
  Owner: 'test',
  SchemaVersion: { Major: 2, Minor: 1 },
  ShouldTerminateOnLastHandleClosed: true,
  VirtualMachine: {
    Chipset: {},
    ComputeTopology: { Memory: { SizeInMB: 64 }, Processor: { Count: 1 } },
  },
};
const bridgePort = 0x40000000;

const openHarness = (agentCommand = [process.execPath, standInAgent]): Promise<ContractHarness> =>
  openLinuxHarness({ name: 'sandbox', options: { agentCommand } }, document);

/** The harness keeps its disks at the root of its state directory. */
async function stateOf(harness: ContractHarness): Promise<StateDirectory> {
  return new StateDirectory(join(await harness.createDisk(), '..'));
}

async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await condition())) {
    if (Date.now() > deadline) assert.fail(`It did not come true that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/**
 * The agent's parent, which the record has from the start on, and the agent, once that is in its namespaces: on a busy
 * machine it may be forked after the record was written.
 */
async function processesOf(state: StateDirectory, id: string): Promise<[parent: number, agent: number]> {
  const parent = (await state.read(id))?.processes[0]?.pid as number;
  let agents: number[] = [];
  await eventually(() => {
    agents = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number);
    return agents.length > 0;
  }, 'the agent is forked');
  assert.equal(agents.length, 1);
  const [agent] = agents as [number];
  assert.notEqual(readlinkSync(`/proc/${agent}/ns/mnt`), readlinkSync('/proc/self/ns/mnt'));
  return [parent, agent];
}

async function bootOn(harness: ContractHarness, id: string) {
  const system = await harness.compute.create(id, harness.document());
  const listener = await harness.sockets.listen(system.runtimeId, bridgePort);
  await system.start();
  (await listener.accept()).on('error', () => {});
  return system;
}

const nothingLeft = (harness: ContractHarness): Promise<void> =>
  eventually(async () => (await harness.leftovers()).length === 0, 'nothing is left');

describe('a sandbox', { skip: isRoot ? false : 'sandboxes need root' }, () => {
  it('gives its agent namespaces of its own, in which it is process 1, and a cgroup', async () => {
    await using harness = await openHarness();
    const state = await stateOf(harness);
    const id = harness.id('namespaces');
    await using system = await bootOn(harness, id);
    const directory = state.monitorDirectory(system.runtimeId);
    const seen = JSON.parse(readFileSync(join(directory, 'agent.json'), 'utf8'));
    assert.equal(seen.pid, 1);
    for (const [name, link] of Object.entries(seen.namespaces)) {
      assert.notEqual(link, readlinkSync(`/proc/self/ns/${name}`));
    }
    const cgroup = `/hcsshim/${id}-${system.runtimeId.slice(0, 8)}`;
    assert.deepEqual(seen.arguments, ['--sandbox', directory, '--cgroup-parent', cgroup]);
    for (const pid of await processesOf(state, id)) {
      assert.ok(readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`${cgroup}/agent`));
    }
    await system.terminate();
  });

  it('is connected to from its owner and, through the owner, from elsewhere; each direction ends by itself', async () => {
    await using harness = await openHarness();
    const echo = async (stream: Duplex): Promise<void> => {
      const answer = text(stream);
      stream.end('x'.repeat(1_000_000));
      assert.equal((await answer).length, 1_000_000);
    };
    const system = await bootOn(harness, harness.id('own'));
    await echo(await harness.sockets.connect(system.runtimeId, 7));
    await system[Symbol.asyncDispose]();

    const id = harness.id('foreign');
    await using _ = await harness.createElsewhere(id, harness.document());
    await using foreign = await harness.compute.open(id);
    const state = await stateOf(harness);
    const echoSocket = join(state.monitorDirectory(foreign.runtimeId), 'guest', '7');
    await eventually(() => existsSync(echoSocket), 'the agent listens');
    await echo(await harness.sockets.connect(foreign.runtimeId, 7));
    await foreign.terminate();
  });

  it('whose agent fails ends with its last words', async () => {
    const program = 'process.stderr.write("first\\nno bridge\\n"); process.exitCode = 3';
    await using harness = await openHarness([process.execPath, '-e', program, '--']);
    await using system = await harness.compute.create(harness.id('fails'), harness.document());
    // It may end before it counts as started.
    await system.start().catch(() => {});
    assert.deepEqual(await system.wait(), {
      type: 'UnexpectedExit',
      reason: "the sandbox's agent ended with exit code 3, its last words: no bridge",
    });
  });

  it('whose agent is missing says so', async () => {
    await using harness = await openHarness(['/nonexistent/agent']);
    await using system = await harness.compute.create(harness.id('missing'), harness.document());
    await system.start().catch(() => {});
    assert.match((await system.wait()).reason, /\/nonexistent\/agent/);
  });

  it('sees a disk as a block device without the footer, and only VHDs', async () => {
    await using harness = await openHarness();
    const state = await stateOf(harness);
    await using system = await bootOn(harness, harness.id('disks'));
    const path = await harness.createDisk();
    const resource = { ResourcePath: 'VirtualMachine/Devices/Scsi/2/Attachments/9' };
    const settings = { Type: 'VirtualDisk', Path: path, ReadOnly: true };
    await system.modify({ ...resource, Settings: settings });
    const link = join(state.monitorDirectory(system.runtimeId), 'scsi/2/9');
    const device = readlinkSync(link).slice('/dev/'.length);
    assert.equal(readFileSync(`/sys/block/${device}/size`, 'utf8').trim(), String((1024 * 1024) / 512));
    assert.equal(readFileSync(`/sys/block/${device}/ro`, 'utf8').trim(), '1');
    await system.modify({ ...resource, RequestType: 'Remove' });
    assert.ok(!existsSync(link));

    truncateSync(path, 1024 * 1024);
    await assert.rejects(system.modify({ ...resource, Settings: settings }), { code: 'ERROR_INVALID_DATA' });
    const file = { ...settings, Type: 'PassThru' };
    await assert.rejects(system.modify({ ...resource, Settings: file }), { code: 'ERROR_INVALID_DATA' });
    await system.terminate();
  });

  const haveExt4 = spawnSync('mkfs.ext4', ['-V']).status === 0 && spawnSync('nsenter', ['-V']).status === 0;
  describe('with a mounted disk', { skip: haveExt4 ? false : 'needs mkfs.ext4 and nsenter' }, () => {
    /** A document with an ext4 disk. */
    async function withDisk(harness: ContractHarness): Promise<ComputeSystemDocument> {
      const path = await harness.createDisk();
      const bytes = 4 * 1024 * 1024;
      truncateSync(path, bytes);
      execFileSync('mkfs.ext4', ['-q', '-F', path]);
      await appendVhdFooter(path);
      const disk = { Type: 'VirtualDisk', Path: path } as const;
      return harness.document({
        VirtualMachine: {
          ...(document.VirtualMachine as NonNullable<ComputeSystemDocument['VirtualMachine']>),
          Devices: { Scsi: { '0': { Attachments: { '1': disk } } } },
        },
      });
    }

    async function mountInside(harness: ContractHarness, id: string): Promise<number> {
      const state = await stateOf(harness);
      const record = await state.read(id);
      const [, agent = 0] = await processesOf(state, id);
      const link = join(state.monitorDirectory(record?.runtimeId as string), 'scsi/0/1');
      execFileSync('nsenter', ['-t', String(agent), '-m', 'mount', readlinkSync(link), '/mnt']);
      return agent;
    }

    it('leaves no loop device when its agent is killed', async () => {
      await using harness = await openHarness();
      const id = harness.id('agent');
      await using system = await harness.compute.create(id, await withDisk(harness));
      await system.start();
      process.kill(await mountInside(harness, id), 'SIGKILL');
      assert.equal((await system.wait()).type, 'UnexpectedExit');
      await nothingLeft(harness);
    });

    it('leaves no loop device and no process when its owner is killed', async () => {
      await using harness = await openHarness();
      const id = harness.id('owner');
      await using owner = await harness.createElsewhere(id, await withDisk(harness));
      const agent = await mountInside(harness, id);
      await owner.kill();
      await eventually(() => identifyProcess(agent) === undefined, 'the agent is gone');
      const loopDevices = async (): Promise<string[]> =>
        (await harness.leftovers()).filter((left) => left.startsWith('loop'));
      await eventually(async () => (await loopDevices()).length === 0, 'the loop device is gone');
      assert.deepEqual(await harness.sweep(), [id]);
      await nothingLeft(harness);
    });
  });

  it('needs root, and says what does not', async () => {
    const kind = createSandboxMonitorKind({ agentCommand: ['agent'] });
    process.seteuid?.(65534);
    try {
      const creating = kind.create({ id: 'x', runtimeId: '', document, directory: '/nonexistent' });
      await assert.rejects(creating, { code: 'E_ACCESSDENIED', message: /--engine qemu/ });
    } finally {
      process.seteuid?.(0);
    }
  });
});
