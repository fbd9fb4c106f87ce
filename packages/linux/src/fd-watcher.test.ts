import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { createEventFd, drainEventFd, signalEventFd } from './event-fd.ts';
import { FdWatcher, waitUntilReady } from './fd-watcher.ts';
import { closeFd } from './libc.ts';
import { createMemfd } from './memfd.ts';

test('a watcher tells of readiness, and promises run after its callback', async () => {
  const fd = createEventFd();
  const drained = Promise.withResolvers<bigint>();
  const watcher = new FdWatcher(fd, async () => {
    const count = drainEventFd(fd);
    await null;
    drained.resolve(count);
  });
  watcher.start();
  signalEventFd(fd);
  signalEventFd(fd);
  assert.equal(await drained.promise, 2n);
  await watcher.close();
  closeFd(fd);
});

test('a watcher that is stopped says nothing, and starts again', async () => {
  const fd = createEventFd();
  let calls = 0;
  const watcher = new FdWatcher(fd, () => {
    calls++;
    watcher.stop();
  });
  watcher.start();
  signalEventFd(fd);
  while (calls === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(calls, 1);
  watcher.start();
  while (calls === 1) await new Promise((resolve) => setTimeout(resolve, 1));
  await watcher.close();
  assert.throws(() => watcher.start(), /closed/);
  closeFd(fd);
});

test('after close the same descriptor can be watched anew', async () => {
  const fd = createEventFd();
  signalEventFd(fd);
  for (let round = 0; round < 3; round++) await waitUntilReady(fd, 'readable');
  closeFd(fd);
});

test('waiting ends when the signal aborts', async () => {
  const fd = createEventFd();
  const abort = new AbortController();
  const waiting = waitUntilReady(fd, 'readable', { signal: abort.signal });
  abort.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  closeFd(fd);
});

test('a regular file cannot be watched', () => {
  const fd = createMemfd('plain', 1);
  assert.throws(() => new FdWatcher(fd, () => {}), { code: 'EPERM', syscall: 'uv_poll_init' });
  closeFd(fd);
});

test('a worker thread is refused instead of aborting the process at its end', async () => {
  const source = `
    import { FdWatcher } from ${JSON.stringify(new URL('./fd-watcher.ts', import.meta.url).href)};
    new FdWatcher(0, () => {});`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const error = await new Promise<Error>((resolve) => worker.once('error', resolve));
  assert.match(error.message, /main thread/);
});

function runScript(body: string): { status: number | null; stderr: string } {
  const index = JSON.stringify(new URL('./index.ts', import.meta.url).href);
  const script = `import { createEventFd, FdWatcher, signalEventFd } from ${index};\n${body}`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  return { status, stderr };
}

test('an exception in a callback is an uncaught exception, not an abort', () => {
  const { status, stderr } = runScript(`
    const fd = createEventFd();
    new FdWatcher(fd, () => { throw new Error('from the callback'); }).start();
    signalEventFd(fd);`);
  assert.equal(status, 1);
  assert.match(stderr, /from the callback/);
});

test('process.exit with a live watcher is clean, and stderr stays empty', () => {
  const { status, stderr } = runScript(`
    const fd = createEventFd();
    new FdWatcher(fd, () => process.exit(7)).start();
    signalEventFd(fd);`);
  assert.deepEqual({ status, stderr }, { status: 7, stderr: '' });
});

test('a watcher without ref lets the process end', () => {
  const { status } = runScript(`
    const watcher = new FdWatcher(createEventFd(), () => {});
    watcher.start();
    watcher.unref();`);
  assert.equal(status, 0);
});
