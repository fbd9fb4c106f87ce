/** Job objects as far as Wine has them; `packages/windows/src/job-object/job-object.test.ts` has the calls that it refuses. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { JobObject, type WindowsError } from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

/** A process that waits for the end of its input. */
function startWaiting(): ChildProcess {
  return spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] });
}

async function readUntilAllExited(job: JobObject): Promise<string[]> {
  const read: string[] = [];
  for await (const one of job.notifications({ signal: AbortSignal.timeout(20_000) })) {
    read.push(one.type === 'unimplemented' ? one.message : one.type);
    if (one.type === 'all-processes-exited') break;
  }
  return read;
}

const uniqueName = (name: string) => `hcsshim-test-${name}-${process.pid}`;

describe('a job object', () => {
  test('has the processes that were put into it, and ends them with the exit code', async () => {
    await using job = await JobObject.create();
    const children = [startWaiting(), startWaiting()];
    for (const { pid } of children) await job.assign(pid as number);
    assert.deepEqual((await job.processIds()).sort(), children.map(({ pid }) => pid).sort());
    const statistics = await job.processorStatistics();
    assert.equal(statistics.activeProcesses, 2);
    assert.equal(statistics.totalProcesses, 2);
    const exits = Promise.all(children.map((child) => once(child, 'exit')));
    await job.terminate(7);
    assert.deepEqual(await exits, [
      [7, null],
      [7, null],
    ]);
    assert.deepEqual(await job.processIds(), []);
  });

  test('tells of processes that begin and of the end of the last', async () => {
    await using job = await JobObject.create({ notifications: true });
    const child = startWaiting();
    await job.assign(child.pid as number);
    const reading = readUntilAllExited(job);
    child.stdin?.end();
    const messages = await reading;
    assert.equal(messages[0], 'NEW_PROCESS');
    assert.equal(messages.at(-1), 'all-processes-exited');
  });

  test('tells each of many jobs its own messages, through one port', async () => {
    const jobs = await Promise.all(
      Array.from({ length: 8 }, () => JobObject.create({ notifications: true })),
    );
    const children = jobs.map(startWaiting);
    for (const [index, job] of jobs.entries()) await job.assign(children[index]?.pid as number);
    const first = readUntilAllExited(jobs[3] as JobObject);
    await jobs[3]?.terminate(1);
    await first;
    assert.equal((await jobs[4]?.processIds())?.length, 1);
    await Promise.all(jobs.map((job) => job.terminate(1)));
    const rest = jobs.filter((_, index) => index !== 3).map(readUntilAllExited);
    for (const messages of await Promise.all(rest)) assert.equal(messages.at(-1), 'all-processes-exited');
    await Promise.all(jobs.map((job) => job.close()));
  });

  test('ends its notifications when it is closed, and its process ids with its handle', async () => {
    const job = await JobObject.create({ notifications: true });
    const reading = Array.fromAsync(job.notifications());
    await job.close();
    assert.deepEqual(await reading, []);
    await assert.rejects(job.processIds(), { code: 'ERR_JOB_CLOSED' });
  });

  test('is found by its name, and natively by its path', async () => {
    const name = uniqueName('named');
    await using job = await JobObject.create({ name });
    const child = startWaiting();
    await job.assign(child.pid as number);
    await using opened = await JobObject.open({ name });
    assert.deepEqual(await opened.processIds(), [child.pid]);
    await opened.terminate(0);

    const path = `\\BaseNamedObjects\\${uniqueName('native')}`;
    await using created = await JobObject.create({ name: path, useNt: true });
    await using found = await JobObject.open({ name: path, useNt: true });
    assert.equal(found.isSilo, false);
    assert.deepEqual(await created.processIds(), []);
  });

  test('that does not exist is refused in words', async () => {
    const name = uniqueName('missing');
    await assert.rejects(JobObject.open({ name }), {
      name: 'WindowsError',
      message: `Cannot open job object "${name}": OpenJobObjectW failed with WIN32_ERROR 0x00000002, File not found`,
      hresult: 0x80070002,
    });
    const path = `\\BaseNamedObjects\\${name}`;
    await assert.rejects(JobObject.open({ name: path, useNt: true }), {
      message: `Cannot open job object "${path}": NtOpenJobObject failed with NTSTATUS 0xC0000034, File not found`,
    });
  });

  test('takes no process that does not exist', async () => {
    await using job = await JobObject.create();
    await assert.rejects(job.assign(999_999), {
      message: /^Cannot put process 999999 into a job object without a name: OpenProcess failed with /,
    });
  });

  test('ends its processes with its last handle when that was set', async () => {
    const job = await JobObject.create();
    await job.setTerminateOnClose();
    const child = startWaiting();
    await job.assign(child.pid as number);
    const exited = once(child, 'exit');
    await job.close();
    await exited;
  });

  test('leaves no handle open', async () => {
    const before = openHandles();
    for (let count = 0; count < 50; count++) {
      await using job = await JobObject.create({ notifications: true });
      await job.processIds();
    }
    assert.ok(openHandles() - before < 10, `${openHandles() - before} handles more than before`);
  });

  test('under Wine forgets limits of memory and processors, and is refused the other limits and statistics', async () => {
    await using job = await JobObject.create();
    await job.setLimits({ memory: 64n << 20n, affinity: 1n });
    assert.equal(await job.memoryLimit(), undefined);
    assert.equal(await job.affinity(), undefined);
    const invalidParameter = ({ status }: WindowsError) => status === 87;
    await assert.rejects(job.setLimits({ cpu: { rate: 5000 } }), invalidParameter);
    await assert.rejects(job.cpuLimit(), invalidParameter);
    await assert.rejects(job.groupAffinities(), invalidParameter);
    await assert.rejects(job.memoryStatistics(), invalidParameter);
    await assert.rejects(job.storageStatistics(), invalidParameter);
    await assert.rejects(job.trackIo(), invalidParameter);
    await assert.rejects(job.promoteToSilo(), invalidParameter);
    await assert.rejects(job.ioLimits(), { name: 'MissingProcedureError' });
    await assert.rejects(job.setLimits({ io: { maxIops: 5n } }), { name: 'MissingProcedureError' });
  });
});
