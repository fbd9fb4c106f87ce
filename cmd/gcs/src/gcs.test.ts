/** The agent as a host sees it: started in namespaces of its own by its launcher, spoken to over the bridge. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { GuestConnection } from '@hcsshim/bridge';
import { isHcsError, type OciProcess, type OciSpec, utilityVmId } from '@hcsshim/schema';
import { agentCommand, Sandbox, skip } from './sandbox-host.fixture.ts';

const here = dirname(fileURLToPath(import.meta.url));

test('the launcher finds the agent, which refuses a bad flag in words', () => {
  const { status, stderr } = spawnSync(join(here, '../bin/gcs'), ['-loglevel', 'loud'], { encoding: 'utf8' });
  assert.match(stderr, /^gcs: Cannot log at level "loud": use one of panic, fatal,/);
  assert.equal(status, 1);
});

test('the agent refuses to take a directory for a sandbox on the host itself', () => {
  const [node = '', ...args] = agentCommand;
  const { status, stderr } = spawnSync(node, [...args, '--sandbox', '/tmp'], { encoding: 'utf8' });
  assert.match(stderr, /gcs: Cannot serve sandbox "\/tmp": the agent would change the host's mounts/);
  assert.equal(status, 1);
});

suite('guest agent', { skip }, () => {
  let sandbox: Sandbox;
  let guest: GuestConnection;

  before(async () => {
    sandbox = await Sandbox.start();
    guest = sandbox.guest;
  });

  after(async () => {
    await sandbox?.[Symbol.asyncDispose]();
  });

  /** Runs a container to its end and deletes it. */
  async function runOnce(id: string, args: string[], spec: Partial<OciProcess> = {}) {
    await using container = await sandbox.container(id, { args, ...spec });
    const process = await container.start({ stdout: true, stderr: true });
    const [stdout, stderr, exitCode] = await Promise.all([
      text(process.stdout),
      text(process.stderr),
      process.wait(),
    ]);
    return { stdout, stderr, exitCode };
  }

  test('a container says hello and ends with 0', async () => {
    assert.deepEqual(await runOnce('hello', ['echo', 'Hello World!']), {
      stdout: 'Hello World!\n',
      stderr: '',
      exitCode: 0,
    });
  });

  test('the exit code and stderr are those of the process', async () => {
    assert.deepEqual(await runOnce('seven', ['sh', '-c', 'echo out; echo err >&2; exit 7']), {
      stdout: 'out\n',
      stderr: 'err\n',
      exitCode: 7,
    });
  });

  test('a process that is slow to be read from is not disturbed and loses nothing', async () => {
    await using container = await sandbox.container('big', {
      args: ['dd', 'if=/dev/zero', 'bs=65536', 'count=64'],
    });
    const process = await container.start({ stdout: true });
    await sleep(100);
    assert.equal(
      (await process.stdout.toArray()).reduce((sum, chunk) => sum + chunk.length, 0),
      64 * 65536,
    );
    assert.equal(await process.wait(), 0);
  });

  test('stdin ends when the host half-closes it, and what cat then says still arrives', async () => {
    await using container = await sandbox.container('cat', { args: ['cat'] });
    const process = await container.start({ stdin: true, stdout: true });
    process.stdin.end('some text');
    assert.equal(await text(process.stdout), 'some text');
    assert.equal(await process.wait(), 0);
  });

  test('a killed process ends with 128 plus the signal, and the host is told how the container ended', async () => {
    await using container = await sandbox.container('kill', { args: ['sleep', '1000'] });
    const process = await container.start({});
    await guest.signalProcess('kill', process.pid, 9);
    assert.equal(await process.wait(), 137);
    assert.equal((await guest.waitForNotification('kill')).Type, 'ForcedExit');
    await assert.rejects(guest.signalProcess('kill', process.pid, 9), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('a container that ends by itself has ended unexpectedly', async () => {
    await using container = await sandbox.container('by-itself', { args: ['true'] });
    const process = await container.start({});
    assert.equal(await process.wait(), 0);
    assert.equal((await guest.waitForNotification('by-itself')).Type, 'UnexpectedExit');
  });

  test('a graceful shutdown sends SIGTERM, a forced one SIGKILL', async () => {
    await using polite = await sandbox.container('polite', {
      args: ['sh', '-c', 'trap "exit 3" TERM; echo ready; while :; do sleep 0.05; done'],
    });
    const process = await polite.start({ stdout: true });
    await once(process.stdout, 'data');
    await guest.shutdownContainer('polite', 'graceful');
    assert.equal(await process.wait(), 3);
    assert.equal((await guest.waitForNotification('polite')).Type, 'GracefulExit');

    await using deaf = await sandbox.container('deaf', { args: ['sleep', '1000'] });
    const second = await deaf.start({});
    await guest.shutdownContainer('deaf', 'forced');
    assert.equal(await second.wait(), 137);
  });

  test('a container that never ran can be shut down', async () => {
    await using _container = await sandbox.container('idle', { args: ['true'] });
    await guest.shutdownContainer('idle', 'graceful');
    assert.equal((await guest.waitForNotification('idle')).Type, 'GracefulExit');
  });

  test('any number may wait for a process, before and after its end', async () => {
    await using container = await sandbox.container('waiters', { args: ['sh', '-c', 'read line; exit 5'] });
    const process = await container.start({ stdin: true });
    const early = [process.wait(), process.wait(), process.wait()];
    await assert.rejects(guest.waitForProcess('waiters', process.pid, { timeout: 20 }), (error) =>
      isHcsError(error, 'HCS_E_CONNECTION_TIMEOUT'),
    );
    process.stdin.end('\n');
    assert.deepEqual(await Promise.all(early), [5, 5, 5]);
    assert.equal(await process.wait(), 5);
    await assert.rejects(guest.waitForProcess('waiters', 99999), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('a terminal: one stream, its size, and resizing', async () => {
    await using container = await sandbox.container('tty', {
      args: ['sh', '-c', 'stty size; tty; read line; stty size; echo got $line; exit 4'],
      terminal: true,
      consoleSize: { height: 20, width: 90 },
    });
    const process = await container.start({ stdin: true, stdout: true });
    const shown = lines(process.stdout);
    assert.equal((await shown.next()).value, '20 90');
    assert.match((await shown.next()).value, /^\/dev\/(pts\/0|console)$/);
    await guest.resizeConsole('tty', process.pid, { width: 133, height: 44 });
    process.stdin.write('word\n');
    // The terminal shows what is typed.
    assert.equal((await shown.next()).value, 'word');
    assert.equal((await shown.next()).value, '44 133');
    assert.equal((await shown.next()).value, 'got word');
    assert.equal((await shown.next()).done, true);
    assert.equal(await process.wait(), 4);
  });

  test('a terminal loses no output when its process ends at once', async () => {
    await using container = await sandbox.container('tty-flood', {
      args: ['sh', '-c', 'dd if=/dev/zero bs=1024 count=512 2>/dev/null; echo end'],
      terminal: true,
    });
    const process = await container.start({ stdout: true });
    await sleep(100);
    const chunks = Buffer.concat(await process.stdout.toArray());
    assert.equal(chunks.length, 512 * 1024 + 'end\r\n'.length);
    assert.equal(await process.wait(), 0);
  });

  test('resizing a process without a terminal is refused', async () => {
    await using container = await sandbox.container('no-tty', { args: ['sleep', '1000'] });
    const process = await container.start({});
    await assert.rejects(
      guest.resizeConsole('no-tty', process.pid, { width: 1, height: 1 }),
      /has no terminal/,
    );
  });

  test('further processes in a running container, with a terminal and without', async () => {
    await using container = await sandbox.container('exec', { args: ['sleep', '1000'] });
    await container.start({});
    const plain = await container.exec(
      { args: ['sh', '-c', 'cat; echo $NAME $PWD >&2; exit 9'], env: ['PATH=/bin', 'NAME=x'], cwd: '/proc' },
      { stdin: true, stdout: true, stderr: true },
    );
    plain.stdin.end('piped');
    assert.equal(await text(plain.stdout), 'piped');
    assert.equal(await text(plain.stderr), 'x /proc\n');
    assert.equal(await plain.wait(), 9);

    const terminal = await container.exec(
      {
        // It has its size once its start is answered, not before: see OciRuntime.exec.
        args: ['sh', '-c', 'read word; test -t 0 && stty size && exit 6'],
        terminal: true,
        consoleSize: { height: 5, width: 55 },
      },
      { stdin: true, stdout: true },
    );
    terminal.stdin.write('go\n');
    assert.equal(await text(terminal.stdout), 'go\r\n5 55\r\n');
    assert.equal(await terminal.wait(), 6);

    const killed = await container.exec({ args: ['sleep', '1000'] }, {});
    await guest.signalProcess('exec', killed.pid, 15);
    assert.equal(await killed.wait(), 143);
  });

  test('a command that does not exist is an error in words, for the first process and for a further one', async () => {
    await using broken = await sandbox.container('broken', { args: ['no-such-command'] });
    await assert.rejects(broken.start({ stdout: true, stderr: true }), (error: Error) => {
      assert.ok(isHcsError(error, 'ERROR_FILE_NOT_FOUND'));
      assert.match(
        error.message,
        /Cannot start container "broken": executable file "no-such-command" not found/,
      );
      return true;
    });
    await using container = await sandbox.container('exec-broken', { args: ['sleep', '1000'] });
    await container.start({});
    await assert.rejects(
      container.exec({ args: ['no-such-command'] }, {}),
      /Cannot run "no-such-command" in container "exec-broken": executable file "no-such-command" not found/,
    );
  });

  test('exec after the container has exited fails with ERROR_NOT_FOUND', async () => {
    await using container = await sandbox.container('over', { args: ['true'] });
    const process = await container.start({});
    await process.wait();
    await assert.rejects(container.exec({ args: ['true'] }, {}), (error) =>
      isHcsError(error, 'ERROR_NOT_FOUND'),
    );
  });

  test('containers beside each other do not see each other', async () => {
    await using first = await sandbox.container('first', { args: ['cat'] });
    await using second = await sandbox.container('second', {
      args: ['sh', '-c', 'ls /proc | head -1; hostname'],
    });
    const waiting = await first.start({ stdin: true, stdout: true });
    const process = await second.start({ stdout: true });
    assert.equal(await text(process.stdout), '1\nsecond\n');
    waiting.stdin.end('1');
    assert.equal(await text(waiting.stdout), '1');
  });

  test('an id is taken until the container is deleted', async () => {
    const first = await sandbox.container('twice', { args: ['true'] });
    const config = JSON.stringify(sandbox.config('twice', { args: ['true'] }));
    await assert.rejects(
      guest.request('Create', { ContainerId: 'twice', ContainerConfig: config }),
      (error) => isHcsError(error, 'HCS_E_SYSTEM_ALREADY_EXISTS'),
    );
    await first[Symbol.asyncDispose]();
    await using _again = await sandbox.container('twice', { args: ['true'] });
  });

  test('a user by name gets the ids of the container', async () => {
    const user = { username: 'alice:staff' };
    assert.equal((await runOnce('user', ['id'], { user })).stdout, 'uid=1234(alice) gid=50(staff)\n');
    await assert.rejects(
      guest.createContainer(
        'nobody-knows',
        sandbox.config('nobody-knows', { args: ['id'], user: { username: 'bob' } }),
      ),
      /Cannot resolve user "bob": "bob" is not in \/etc\/passwd of the container/,
    );
  });

  test('host files, and a network of its own with loopback', async () => {
    const { stdout } = await runOnce('net', [
      'sh',
      '-c',
      'cat /etc/hostname /etc/resolv.conf; head -2 /etc/hosts; ip -o link | wc -l; ip link show lo | head -1',
    ]);
    assert.match(stdout, /^net\n127\.0\.0\.1 localhost\n127\.0\.0\.1 net\n1\n1: lo: <LOOPBACK,UP,LOWER_UP>/);
  });

  test('process list and statistics', async () => {
    await using container = await sandbox.container('stats', {
      args: ['sh', '-c', 'sleep 1000 & sleep 1000'],
    });
    const process = await container.start({});
    const child = await container.exec({ args: ['sleep', '1000'] }, {});
    const properties = await guest.getProperties('stats', ['ProcessList', 'Statistics']);
    const pids = properties.ProcessList?.map(({ ProcessId }) => ProcessId) ?? [];
    assert.ok(
      pids.includes(process.pid) && pids.includes(child.pid),
      `${pids} has ${process.pid} and ${child.pid}`,
    );
    const { LCOWMetrics } = properties;
    assert.ok((LCOWMetrics?.pids?.current ?? 0) >= 2);
    assert.ok((LCOWMetrics?.cpu?.usage?.total ?? 0) > 0);
    assert.ok((LCOWMetrics?.memory?.usage?.usage ?? 0) > 0);
    await assert.rejects(
      guest.getProperties(utilityVmId, ['Statistics']),
      /Cannot get the properties of the VM/,
    );
  });

  test('limits can be changed while it runs', async () => {
    await using container = await sandbox.container('limits', { args: ['sleep', '1000'] });
    await container.start({});
    await guest.modifySettings(
      {
        ResourceType: 'ContainerConstraints',
        RequestType: 'Update',
        Settings: { Linux: { pids: { limit: 77 } } },
      },
      { containerId: 'limits' },
    );
    const { LCOWMetrics } = await guest.getProperties('limits', ['Statistics']);
    assert.equal(LCOWMetrics?.pids?.limit, 77);
  });

  test('a process in the VM itself, by arguments and by command line', async () => {
    const process = await sandbox.execute(
      utilityVmId,
      { CommandArgs: ['sh', '-c', 'cat; echo $A; exit 8'], Environment: { A: 'b' }, CreateInUtilityVM: true },
      { stdin: true, stdout: true },
    );
    process.stdin.end('in ');
    assert.equal(await text(process.stdout), 'in b\n');
    assert.equal(await process.wait(), 8);

    const line = await sandbox.execute(
      utilityVmId,
      { CommandLine: `sh -c 'tty >/dev/null && echo "a  b" && kill -9 $$'`, EmulateConsole: true },
      { stdin: true, stdout: true },
    );
    assert.equal(await text(line.stdout), 'a  b\r\n');
    assert.equal(await line.wait(), 137);

    await assert.rejects(sandbox.execute(utilityVmId, { CommandArgs: ['no-such'] }, {}), (error) =>
      isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
    );
  });

  test('the agent reports what it is doing', async () => {
    assert.match(await guest.dumpStacks(), /^agent 1, up \d+ s[\s\S]*stack:\n[\s\S]*event loop handles:/);
  });

  test('what the agent does not support is refused in words', async () => {
    await assert.rejects(
      guest.modifySettings({ ResourceType: 'VPCIDevice', RequestType: 'Add', Settings: {} }),
      (error) => isHcsError(error, 'ERROR_NOT_SUPPORTED'),
    );
    await assert.rejects(guest.getProperties('nobody', []), (error) =>
      isHcsError(error, 'HCS_E_SYSTEM_NOT_FOUND'),
    );
    const pod = sandbox.config('pod', { args: ['true'] });
    const annotations = { 'io.kubernetes.cri.container-type': 'sandbox' };
    await assert.rejects(
      guest.createContainer('pod', {
        ...pod,
        OciSpecification: { ...(pod.OciSpecification as OciSpec), annotations },
      }),
      /containers of type "sandbox" are not supported/,
    );
  });

  test('a disk can be formatted, linked to and unmounted', async () => {
    const disk = await sandbox.attachDisk(await sandbox.image('blank', undefined));
    const settings = { ...disk, MountPath: '/run/mounts/blank', EnsureFilesystem: true, Filesystem: 'ext4' };
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: settings });
    const look = await sandbox.execute(
      utilityVmId,
      { CommandLine: 'ls /run/mounts/blank' },
      { stdout: true },
    );
    assert.equal(await text(look.stdout), 'lost+found\n');
    await guest.modifySettings({
      ResourceType: 'MappedVirtualDisk',
      RequestType: 'Remove',
      Settings: settings,
    });
    await guest.modifySettings({ ResourceType: 'SCSIDevice', RequestType: 'Remove', Settings: disk });

    const link = { ...disk, MountPath: '/run/mounts/link', BlockDev: true };
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Add', Settings: link });
    const stat = await sandbox.execute(utilityVmId, { CommandLine: 'test -b /run/mounts/link' }, {});
    assert.equal(await stat.wait(), 0);
    await guest.modifySettings({ ResourceType: 'MappedVirtualDisk', RequestType: 'Remove', Settings: link });
  });

  test('many processes at once are told apart and leave no descriptors', async () => {
    await using container = await sandbox.container('many', { args: ['sleep', '1000'] });
    await container.start({});
    const before = await sandbox.agentDescriptors();
    const codes = Array.from({ length: 24 }, (_, index) => index + 1);
    const exits = await Promise.all(
      codes.map(async (code) => {
        const args = ['sh', '-c', `cat; exit ${code}`];
        const process = await container.exec(
          { args, terminal: code % 3 === 0 },
          { stdin: true, stdout: true },
        );
        if (code % 3 === 0) process.stdin.write(`${code}\n\x04`);
        else process.stdin.end(`${code}\n`);
        const output = await text(process.stdout);
        assert.match(output, new RegExp(`^${code}\\b`));
        const exitCode = await process.wait();
        process.stdin.destroy();
        return exitCode;
      }),
    );
    assert.deepEqual(exits, codes);
    while ((await sandbox.agentDescriptors()) > before) await sleep(20);
  });

  test('nothing is left when all containers are deleted', async () => {
    const left = await sandbox.execute(
      utilityVmId,
      {
        CommandLine: `sh -c 'ls /run/gcs/c /run/gcsrunc/state /run/gcsrunc/files; grep -c /run/gcs /proc/self/mounts; ps -eo stat= | grep -c Z'`,
      },
      { stdout: true },
    );
    assert.equal(
      await text(left.stdout),
      '/run/gcs/c:\n\n/run/gcsrunc/files:\n\n/run/gcsrunc/state:\n0\n0\n',
    );
    assert.deepEqual(sandbox.containerCgroups(), []);
  });

  test('the log arrives as JSON lines', async () => {
    const lines = sandbox
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(lines.some(({ level, msg }) => level === 'info' && msg === 'GCS started'));
  });

  test('a host that closes the connection can come back and finds its containers', async () => {
    await using own = await Sandbox.start();
    await using _container = await own.container('stays', { args: ['sleep', '1000'] });
    const process = await _container.start({});
    await own.guest[Symbol.asyncDispose]();
    await own.reconnect();
    await own.guest.signalProcess('stays', process.pid, 9);
    assert.equal(await own.guest.waitForProcess('stays', process.pid), 137);
    own.guest.adoptContainer('stays');
    await own.guest.deleteContainerState('stays');
  });

  test('runc serves where there is no crun', {
    skip: existsSync('/usr/sbin/runc') ? false : 'needs runc',
  }, async () => {
    await using own = await Sandbox.start({ path: '/usr/sbin' });
    await using container = await own.container('runc', {
      args: ['sh', '-c', 'read line; echo $line; exit 7'],
    });
    const process = await container.start({ stdin: true, stdout: true });
    const terminal = await container.exec(
      { args: ['sh', '-c', 'stty size; exit 2'], terminal: true, consoleSize: { height: 5, width: 55 } },
      { stdout: true },
    );
    assert.equal(await text(terminal.stdout), '5 55\r\n');
    assert.equal(await terminal.wait(), 2);
    await assert.rejects(container.exec({ args: ['no-such'] }, {}), (error) =>
      isHcsError(error, 'ERROR_FILE_NOT_FOUND'),
    );
    assert.ok(
      (await own.guest.getProperties('runc', ['ProcessList'])).ProcessList?.some(
        ({ ProcessId }) => ProcessId === process.pid,
      ),
    );
    process.stdin.end('word\n');
    assert.equal(await text(process.stdout), 'word\n');
    assert.equal(await process.wait(), 7);
  });

  test('SIGTERM ends the agent in good order', async () => {
    const own = await Sandbox.start();
    const container = await own.container('last', { args: ['sleep', '1000'] });
    await container.start({});
    own.terminate();
    assert.deepEqual(await own.exited, [0, null]);
    await own[Symbol.asyncDispose]();
  });

  test('shutting down the VM ends the agent and everything in it, without an answer', async () => {
    const own = await Sandbox.start();
    const container = await own.container('last', { args: ['sleep', '1000'] });
    await container.start({});
    await own.guest.shutdownGuest();
    assert.deepEqual(await own.exited, [0, null]);
    await own[Symbol.asyncDispose]();
  });
});

function lines(stream: Socket): AsyncIterator<string> {
  return createInterface({ input: stream })[Symbol.asyncIterator]();
}
