/** What a container's process can do with its standard streams, and what the host sees of it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { utilityVmId } from '@hcsshim/schema';
import { Sandbox, skip } from './sandbox-host.fixture.ts';

const MiB = 1024 * 1024;

suite('standard streams of a container', { skip }, () => {
  let sandbox: Sandbox;
  let container: Awaited<ReturnType<Sandbox['container']>>;

  before(async () => {
    sandbox = await Sandbox.start();
    container = await sandbox.container('streams', { args: ['sleep', '1000'] });
    await container.start({});
    const fifo = await container.exec({ args: ['mkfifo', '/tmp/go'] }, {});
    assert.equal(await fifo.wait(), 0);
  });

  after(async () => {
    await container?.[Symbol.asyncDispose]();
    await sandbox?.[Symbol.asyncDispose]();
  });

  const shell = (script: string, wanted: { stdin?: boolean; stdout?: boolean; stderr?: boolean }) =>
    container.exec({ args: ['sh', '-c', script] }, wanted);

  test('they can be opened by name', async () => {
    const process = await shell('cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr', {
      stdin: true,
      stdout: true,
      stderr: true,
    });
    process.stdin.end('in ');
    assert.equal(await text(process.stdout), 'in out\n');
    assert.equal(await text(process.stderr), 'err\n');
    assert.equal(await process.wait(), 0);
  });

  test('the first process can open them too', async () => {
    await using own = await sandbox.container('first-process', {
      args: ['sh', '-c', 'ln -s /dev/stderr log; echo out > /dev/stdout; echo err > log'],
    });
    const process = await own.start({ stdout: true, stderr: true });
    assert.equal(await text(process.stdout), 'out\n');
    assert.equal(await text(process.stderr), 'err\n');
  });

  test('so can processes of another user than root', async () => {
    const process = {
      args: ['sh', '-c', 'id -u > /dev/stdout; echo err > /dev/stderr'],
      user: { uid: 1234, gid: 50 },
    };
    await using own = await sandbox.container('other-user', process);
    for (const started of [
      await own.start({ stdout: true, stderr: true }),
      await container.exec(process, { stdout: true, stderr: true }),
    ]) {
      assert.equal(await text(started.stderr), 'err\n');
      assert.equal(await text(started.stdout), '1234\n');
    }
  });

  test('they are pipes, and /dev/null where the host wants none', async () => {
    const process = await shell('ls -l /proc/self/fd', { stdin: true, stdout: true });
    const kinds = [...(await text(process.stdout)).matchAll(/ ([012]) -> (\S+?)(?::|$)/gm)];
    assert.deepEqual(
      kinds.map(([, fd, target]) => [fd, target]),
      [
        ['0', 'pipe'],
        ['1', 'pipe'],
        ['2', '/dev/null'],
      ],
    );
    process.stdin.destroy();
  });

  test('50 MiB go out byte for byte, also to a slow reader', async () => {
    const process = await shell(
      'i=0; while [ $i -lt 50 ]; do cat /bin/busybox; i=$((i+1)); done | head -c 52428800',
      {
        stdout: true,
      },
    );
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of process.stdout as AsyncIterable<Buffer>) {
      hash.update(chunk);
      // A pause now and then, in which all buffers on the way fill up.
      if (Math.floor((size + chunk.length) / (5 * MiB)) > Math.floor(size / (5 * MiB))) await sleep(5);
      size += chunk.length;
    }
    assert.equal(size, 50 * MiB);
    const reference = await sandbox.execute(
      utilityVmId,
      {
        CommandArgs: [
          'sh',
          '-c',
          'i=0; while [ $i -lt 50 ]; do cat /bin/busybox; i=$((i+1)); done | head -c 52428800 | sha256sum',
        ],
      },
      { stdout: true },
    );
    assert.equal(hash.digest('hex'), (await text(reference.stdout)).split(' ')[0]);
    assert.equal(await process.wait(), 0);
  });

  test('several streams at once stay apart and whole', async () => {
    const sizes = await Promise.all(
      [1, 2, 3, 4].map(async (count) => {
        const script = `dd if=/dev/zero bs=1000 count=${count}000 2>/dev/null; dd if=/dev/zero bs=333 count=${count}000 3>&2 2>/dev/null >&3`;
        const process = await shell(script, { stdout: true, stderr: true });
        return await Promise.all([sizeOf(process.stdout), sizeOf(process.stderr)]);
      }),
    );
    assert.deepEqual(
      sizes,
      [1, 2, 3, 4].map((count) => [count * 1_000_000, count * 333_000]),
    );
  });

  test('what a process has said arrives although it waits', async () => {
    const process = await shell('echo ready; read line; echo $line', { stdin: true, stdout: true });
    const [first] = await once(process.stdout, 'data');
    assert.equal(String(first), 'ready\n');
    process.stdin.end('over\n');
    assert.equal(await text(process.stdout), 'over\n');
  });

  test('a writer whose reader goes away is ended by SIGPIPE, at the latest with its second write', async () => {
    const flooding = await shell('yes', { stdout: true });
    await once(flooding.stdout, 'data');
    flooding.stdout.destroy();
    assert.equal(await flooding.wait(), 141);

    const quiet = await shell('read line; sleep 0.2; echo one; sleep 0.2; echo two; exit 7', {
      stdin: true,
      stdout: true,
    });
    quiet.stdout.destroy();
    quiet.stdin.end('\n');
    assert.equal(await quiet.wait(), 141);
  });

  test('a host that ends only its own side of an output still gets the output', async () => {
    const process = await shell('read line; echo $line', { stdin: true, stdout: true });
    process.stdout.end();
    await sleep(50);
    process.stdin.end('still here\n');
    assert.equal(await text(process.stdout), 'still here\n');
    assert.equal(await process.wait(), 0);
  });

  test('input larger than a pipe waits for the process to read it', async () => {
    const input = Buffer.alloc(3 * MiB, 'input ');
    const process = await shell('echo ready; read start; wc -c', { stdin: true, stdout: true });
    await once(process.stdout, 'data');
    process.stdin.write('start\n');
    let taken = false;
    process.stdin.end(input, () => {
      taken = true;
    });
    assert.equal(Number(await text(process.stdout)), input.length);
    assert.equal(await process.wait(), 0);
    assert.ok(taken);
  });

  test('input that nobody reads is not buffered without bound, and ends when it is not wanted', async () => {
    const process = await shell('echo ready; read line < /tmp/go; exec 0<&-; echo closed; sleep 1000', {
      stdin: true,
      stdout: true,
    });
    assert.equal(String((await once(process.stdout, 'data'))[0]), 'ready\n');
    process.stdin.write(Buffer.alloc(8 * MiB));
    const closed = new Promise((resolve) => process.stdin.once('close', resolve));
    await sleep(150);
    assert.ok(process.stdin.writableLength > 0);
    const said = once(process.stdout, 'data');
    const go = await shell('echo > /tmp/go', {});
    assert.equal(String((await said)[0]), 'closed\n');
    await closed;
    await sandbox.guest.signalProcess('streams', process.pid, 9);
    assert.equal(await process.wait(), 137);
    assert.equal(await go.wait(), 0);
  });

  test('input to a process that has ended comes to an end', async () => {
    const process = await shell('exit 3', { stdin: true });
    assert.equal(await process.wait(), 3);
    await finished(process.stdin.resume(), { writable: false });
  });

  test('an exit is told at once, and the streams end when all who inherited them have closed them', async () => {
    const process = await shell('(read line < /tmp/go; echo late) & echo early', { stdout: true });
    assert.equal(await process.wait(), 0);
    const output = text(process.stdout);
    const go = await shell('echo > /tmp/go', {});
    assert.equal(await output, 'early\nlate\n');
    assert.equal(await go.wait(), 0);
  });

  test('a process that cannot be started leaves no stream open', async () => {
    const before = await sandbox.agentDescriptors();
    await assert.rejects(
      container.exec({ args: ['no-such-command'] }, { stdin: true, stdout: true, stderr: true }),
      /not found/,
    );
    while ((await sandbox.agentDescriptors()) > before) await sleep(20);
  });

  test('many processes with all streams, some cut off, leave no descriptors', async () => {
    const before = await sandbox.agentDescriptors();
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const process = await shell('cat; yes 2>/dev/null | head -c 300000 >&2', {
            stdin: true,
            stdout: true,
            stderr: true,
          });
          process.stdin.end('some input');
          if (index % 2 === 0) process.stderr.destroy();
          else assert.equal(await sizeOf(process.stderr), 300_000);
          assert.equal(await text(process.stdout), 'some input');
          await process.wait();
          process.stdin.destroy();
        }),
      );
    }
    while ((await sandbox.agentDescriptors()) > before) await sleep(20);
  });
});

async function sizeOf(stream: Readable): Promise<number> {
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) size += chunk.length;
  return size;
}
