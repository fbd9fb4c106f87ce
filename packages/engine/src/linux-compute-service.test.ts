import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { CallOptions, SystemExit } from '@hcsshim/hcs';
import type { ComputeSystemDocument } from '@hcsshim/schema';
import { longestLine } from './line-channel.ts';
import { createLinuxComputeService, type LinuxComputeService } from './linux-compute-service.ts';
import type { Monitor, MonitorKind } from './monitor.ts';
import { StateDirectory, type SystemRecord } from './state-directory.ts';

const document: ComputeSystemDocument = {
  Owner: 'test',
  SchemaVersion: { Major: 2, Minor: 1 },
  VirtualMachine: {
    Chipset: {},
    ComputeTopology: { Memory: { SizeInMB: 64 }, Processor: { Count: 1 } },
  },
};

/** A monitor without a guest: it does what a test tells it, which no real one would do on demand. */
class ScriptedMonitor implements Monitor {
  readonly calls: string[] = [];
  readonly end = Promise.withResolvers<SystemExit>();
  readonly exited = this.end.promise;
  readonly processIds: number[] = [];
  /** What the named call does instead of succeeding at once. */
  script: Partial<Record<string, (options: CallOptions) => Promise<void>>> = {};

  async #play(name: string, options: CallOptions = {}): Promise<void> {
    this.calls.push(name);
    await this.script[name]?.(options);
  }

  start(options: CallOptions): Promise<void> {
    return this.#play('start', options);
  }
  shutdown(options: CallOptions): Promise<void> {
    return this.#play('shutdown', options);
  }
  async terminate(): Promise<void> {
    await this.#play('terminate');
    this.end.resolve({ type: 'ForcedExit', reason: 'it was terminated' });
  }
  pause(options: CallOptions): Promise<void> {
    return this.#play('pause', options);
  }
  resume(options: CallOptions): Promise<void> {
    return this.#play('resume', options);
  }
  attachScsi(): Promise<void> {
    return this.#play('attachScsi');
  }
  detachScsi(): Promise<void> {
    return this.#play('detachScsi');
  }
  async statistics(): Promise<never> {
    throw new Error('not scripted');
  }
  async listen(): Promise<never> {
    throw new Error('not scripted');
  }
  async connect(): Promise<never> {
    throw new Error('not scripted');
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.end.resolve({ type: 'UnexpectedExit', reason: 'disposed' });
    await this.#play('dispose');
  }
}

const untilAborted = ({ signal }: CallOptions): Promise<void> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));

let root: string;
let state: StateDirectory;
let monitor: ScriptedMonitor;
let service: LinuxComputeService;
let complaints: string[];

function serviceWith(create: MonitorKind['create']): LinuxComputeService {
  return createLinuxComputeService({
    monitor: { name: 'sandbox', bootsKernel: false, create },
    stateDirectory: root,
    log: (message) => complaints.push(message),
  });
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'service-'));
  state = new StateDirectory(root);
  monitor = new ScriptedMonitor();
  complaints = [];
  service = serviceWith(async () => monitor);
});

afterEach(async () => {
  monitor.script = {};
  await service[Symbol.asyncDispose]();
  const left = await Promise.all(
    ['systems', 'm', 'c'].map((name) => readdir(join(root, name)).catch(() => [])),
  );
  await rm(root, { recursive: true });
  assert.deepEqual(left.flat(), []);
  for (const name of Object.keys(process.env)) {
    if (name.startsWith('HCSSHIM_TIMEOUT_')) delete process.env[name];
  }
});

async function recorded(id: string): Promise<SystemRecord> {
  return (await state.read(id)) as SystemRecord;
}

describe('a compute system', () => {
  it('has its document and its state on disk, for root alone', async () => {
    await using system = await service.compute.create('x', document);
    const directory = state.systemDirectory('x');
    assert.deepEqual(JSON.parse(await readFile(join(directory, 'document.json'), 'utf8')), document);
    const created = await recorded('x');
    assert.equal(created.state, 'Created');
    assert.equal(created.owner.pid, process.pid);
    await system.start();
    assert.equal((await recorded('x')).state, 'Running');
    await system.pause();
    assert.equal((await recorded('x')).state, 'Paused');
    await system.terminate();
  });

  it('whose start takes longer than HCSSHIM_TIMEOUT_SYSTEMSTART is ended', async () => {
    process.env.HCSSHIM_TIMEOUT_SYSTEMSTART = '1';
    monitor.script.start = untilAborted;
    await using system = await service.compute.create('x', document);
    await assert.rejects(system.start(), { code: 'HCS_E_OPERATION_TIMEOUT' });
    assert.equal((await system.wait()).type, 'ForcedExit');
    assert.deepEqual(monitor.calls, ['start', 'terminate', 'dispose']);
  });

  it('tells in the error of a call that takes too long what is pending on it', async () => {
    process.env.HCSSHIM_TIMEOUT_SYSTEMPAUSE = '1';
    await using system = await service.compute.create('x', document);
    await system.start();
    monitor.script.pause = untilAborted;
    const pausing = system.pause();
    const resuming = system.resume().catch(() => {});
    assert.deepEqual(system.pendingOperations(), [
      'pause compute system "x" (for 0 s)',
      'resume compute system "x" (for 0 s)',
    ]);
    await assert.rejects(pausing, {
      code: 'HCS_E_OPERATION_TIMEOUT',
      message:
        /no answer within 1 s; pending on it: pause compute system "x" \(for 1 s\), resume compute system "x" \(for 1 s\)/,
    });
    await resuming;
    assert.deepEqual(system.pendingOperations(), []);
  });

  it('refuses in words what a Linux VM cannot do, also through a closed handle', async () => {
    const system = await service.compute.create('x', document);
    await system.start();
    const refused = { code: 'ERROR_NOT_SUPPORTED', message: /^Cannot (create|open|save|crash) .*, .{10}/ };
    const calls = [
      () => system.createProcess({ CommandLine: 'sh' }),
      () => system.openProcess(1),
      () => system.save({ SaveType: 'ToFile' }),
      () => system.crash(),
    ];
    for (const call of calls) await assert.rejects(call(), refused);
    await system.terminate();
    await system[Symbol.asyncDispose]();
    for (const call of calls) await assert.rejects(call(), { code: 'ERROR_INVALID_HANDLE' });
    await assert.rejects(service.compute.modifyServiceSettings({ PropertyType: 'CpuGroup' }), {
      code: 'ERROR_NOT_SUPPORTED',
      message: /"CpuGroup" is a setting of Windows/,
    });
  });

  it('whose start fails says why and is gone', async () => {
    const failure = new Error('no memory');
    monitor.script.start = async () => {
      throw failure;
    };
    await using system = await service.compute.create('x', document);
    await assert.rejects(system.start(), failure);
    assert.equal(await state.read('x'), undefined);
    await assert.rejects(system.start(), { code: 'HCS_E_SYSTEM_ALREADY_STOPPED' });
  });

  it('that ends while it starts says how it ended', async () => {
    monitor.script.start = async (options) => {
      monitor.end.resolve({ type: 'UnexpectedExit', reason: 'the guest kernel panicked' });
      await untilAborted(options);
    };
    await using system = await service.compute.create('x', document);
    await assert.rejects(system.start(), { code: 'HCS_E_TERMINATED_DURING_START', message: /panicked/ });
  });

  it('is resumed when its pause was given up, and stays Running', async () => {
    const controller = new AbortController();
    const paused = Promise.withResolvers<void>();
    monitor.script.pause = () => paused.promise;
    await using system = await service.compute.create('x', document);
    await system.start();
    const pausing = system.pause(controller);
    await new Promise((resolve) => setImmediate(resolve));
    const reason = new Error('enough');
    controller.abort(reason);
    paused.resolve();
    await assert.rejects(pausing, reason);
    await system.shutdown();
    assert.deepEqual(monitor.calls, ['start', 'pause', 'resume', 'shutdown']);
    assert.equal((await system.getProperties()).State, 'Running');
    await system.terminate();
  });

  it('does one thing at a time, in the order of asking', async () => {
    await using system = await service.compute.create('x', document);
    await Promise.all([system.start(), system.pause(), system.resume(), system.pause()]);
    assert.deepEqual(monitor.calls, ['start', 'pause', 'resume', 'pause']);
    await system.terminate();
  });

  it('takes no more than 64 operations at once', async () => {
    await using system = await service.compute.create('x', document);
    await system.start();
    monitor.script.shutdown = untilAborted;
    const calls = Array.from({ length: 65 }, () => system.shutdown());
    await assert.rejects(calls[64] as Promise<void>, { code: 'HCS_E_OPERATION_PENDING' });
    const waiting = Promise.allSettled(calls);
    await system.terminate();
    await waiting;
  });

  it('whose monitor cannot be made leaves nothing, and its id is free', async () => {
    const failing = serviceWith(async () => {
      throw new Error('no QEMU');
    });
    await assert.rejects(failing.compute.create('x', document), /no QEMU/);
    await using system = await service.compute.create('x', document);
    await system.terminate();
  });

  it('whose monitor takes too long to make is undone once it is made', async () => {
    process.env.HCSSHIM_TIMEOUT_SYSTEMCREATE = '1';
    const slow = Promise.withResolvers<Monitor>();
    const late = serviceWith(() => slow.promise);
    setTimeout(() => slow.resolve(monitor), 1200);
    await assert.rejects(late.compute.create('x', document), { code: 'HCS_E_OPERATION_TIMEOUT' });
    await late[Symbol.asyncDispose]();
    assert.deepEqual(monitor.calls, ['dispose']);
  });

  it('that is not cleared up well ends all the same, and the log tells', async () => {
    monitor.script.dispose = async () => {
      throw new Error('busy');
    };
    await using system = await service.compute.create('x', document);
    await system.terminate();
    assert.deepEqual(complaints, ['Cannot clear up its monitor for compute system "x": busy']);
  });
});

describe('a state directory', () => {
  it('whose path leaves no room for unix sockets is refused', () => {
    assert.throws(
      () =>
        createLinuxComputeService({
          monitor: { name: 'sandbox', create: async () => monitor },
          stateDirectory: `/tmp/${'x'.repeat(60)}`,
        }),
      { code: 'E_INVALIDARG', message: /bytes too long/ },
    );
  });
});

describe('the record of a system that cannot be read', () => {
  const otherVersion = JSON.stringify({ version: 2, id: 'x' });
  const unreadable: [title: string, files: Record<string, string>, problem: RegExp][] = [
    ['empty', { 'state.json': '' }, /not JSON/],
    ['missing', { 'document.json': '{}' }, /missing/],
    ['of another version', { 'state.json': otherVersion }, /version 2/],
    ['without a GUID', { 'state.json': JSON.stringify({ version: 1, runtimeId: '' }) }, /incomplete/],
  ];

  for (const [title, files, problem] of unreadable) {
    it(`(${title}) takes its id at once, with an error in words, and hides no other system`, async () => {
      const directory = state.systemDirectory('x');
      await mkdir(directory, { recursive: true });
      for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
      const asking = { code: 'ERROR_INVALID_DATA', message: problem };
      await assert.rejects(service.compute.create('x', document), asking);
      await assert.rejects(service.compute.open('x'), asking);
      await using other = await service.compute.create('other', document);
      const systems = await service.compute.enumerate();
      assert.deepEqual(
        systems.map(({ Id }) => Id),
        ['other'],
      );
      assert.equal(complaints.length, 1);
      assert.match(complaints[0] as string, problem);
      await other.terminate();
      await rm(directory, { recursive: true });
    });
  }
});

describe('a control socket', () => {
  /** Sends bytes and returns what is answered until the connection ends. */
  async function talk(...messages: (string | Buffer)[]): Promise<string> {
    const socket = connect(state.controlSocket((await recorded('x')).runtimeId));
    socket.on('error', () => {});
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    for (const message of messages) socket.write(message);
    socket.end();
    await new Promise((resolve) => socket.once('close', resolve));
    return answer;
  }

  const request = (value: object): string => `${JSON.stringify(value)}\n`;

  it('is for its user alone, and so are the directories around it', async () => {
    await using system = await service.compute.create('x', document);
    const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
    const socket = state.controlSocket(system.runtimeId);
    assert.equal(await modeOf(socket), 0o600);
    assert.equal(await modeOf(dirname(socket)), 0o700);
    assert.equal(await modeOf(state.monitorDirectory(system.runtimeId)), 0o700);
    await system.terminate();
  });

  it('answers in any order, and mistakes in words', async () => {
    await using system = await service.compute.create('x', document);
    const answers = (
      await talk(
        request({ id: 1, method: 'open' }),
        request({ id: 2, method: 'pause' }),
        request({ id: 3, method: 'fly' }),
        request({ id: 4, method: 'constructor' }),
        request({ id: 5, method: 'properties' }).slice(0, 10),
        request({ id: 5, method: 'properties' }).slice(10),
      )
    )
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const byId = Object.fromEntries(answers.map((answer) => [answer.id, answer]));
    assert.deepEqual(byId[1].result, { runtimeId: system.runtimeId });
    assert.equal(byId[2].error.code, 'HCS_E_INVALID_STATE');
    assert.equal(byId[3].error.code, 'HCS_E_UNKNOWN_MESSAGE');
    assert.equal(byId[4].error.code, 'HCS_E_UNKNOWN_MESSAGE');
    assert.equal(byId[5].result.State, 'Created');
    await system.terminate();
  });

  it('cuts off who sends no JSON, or lines without end, and serves the others on', async () => {
    await using system = await service.compute.create('x', document);
    assert.equal(await talk('hello\n'), '');
    assert.equal(await talk('7\n'), '');
    assert.equal(await talk(Buffer.alloc(longestLine + 1, 'x')), '');
    assert.match(await talk(request({ id: 1, method: 'open' })), /runtimeId/);
    await system.terminate();
  });

  it('answers no more than 64 requests of one connection at once', async () => {
    await using system = await service.compute.create('x', document);
    const waits = Array.from({ length: 65 }, (_, id) => request({ id, method: 'wait' }));
    const socket = connect(state.controlSocket(system.runtimeId));
    socket.write(waits.join(''));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.equal(JSON.parse(answer.toString()).error.code, 'HCS_E_OPERATION_PENDING');
    socket.destroy();
    await system.terminate();
  });
});
