import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { FdWatcher, waitUntilReady } from './fd-watcher.ts';
import { closeFd } from './libc.ts';
import { readNow, writeNow } from './non-blocking-io.ts';
import { openPipe } from './pipe.ts';
import { openSocketPair } from './unix-socket.ts';

test('bytes go through a pipe, nothing yet is undefined, and its end is 0', async () => {
  const { readFd, writeFd } = openPipe();
  const buffer = new Uint8Array(8);
  // What is watched becomes non-blocking.
  await waitUntilReady(writeFd, 'writable');
  const watcher = new FdWatcher(readFd, () => {});
  assert.equal(readNow(readFd, buffer), undefined);
  assert.equal(writeNow(writeFd, Buffer.from('hello'), 4), 4);
  assert.equal(readNow(readFd, buffer), 4);
  assert.equal(Buffer.from(buffer).toString('latin1', 0, 4), 'hell');
  closeFd(writeFd);
  assert.equal(readNow(readFd, buffer), 0);
  await watcher.close();
  closeFd(readFd);
});

test('a pipe holds as much as was asked for', async () => {
  for (const capacity of [undefined, 256 * 1024]) {
    const { readFd, writeFd } = openPipe(capacity === undefined ? {} : { capacity });
    await waitUntilReady(writeFd, 'writable');
    const page = new Uint8Array(4096);
    let size = 0;
    for (let written = writeNow(writeFd, page); written !== undefined; written = writeNow(writeFd, page)) {
      size += written;
    }
    assert.equal(size, capacity ?? 64 * 1024);
    closeFd(readFd);
    assert.throws(() => writeNow(writeFd, page), { code: 'EPIPE', syscall: 'write' });
    closeFd(writeFd);
  }
});

test('children do not inherit the ends of a pipe', () => {
  const { readFd, writeFd } = openPipe();
  const { stdout } = spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' });
  const inherited = stdout.trim().split('\n').map(Number);
  assert.ok(!inherited.includes(readFd) && !inherited.includes(writeFd), stdout);
  closeFd(readFd);
  closeFd(writeFd);
});

test('a watcher tells a writer that nobody reads the pipe any more, as an error', async () => {
  const { readFd, writeFd } = openPipe();
  const events: boolean[][] = [];
  const told = Promise.withResolvers<void>();
  const watcher = new FdWatcher(writeFd, (...event) => {
    events.push(event);
    told.resolve();
  });
  watcher.start({ disconnect: true });
  closeFd(readFd);
  await told.promise;
  assert.deepEqual(events, [[true, true]]);
  await watcher.close();
  closeFd(writeFd);
});

test('a watcher tells of a disconnected socket, and not of one that has merely something to read', async () => {
  const [own, other] = openSocketPair();
  let events: boolean[][] = [];
  let told = Promise.withResolvers<void>();
  const watcher = new FdWatcher(own, (...event) => {
    events.push(event);
    told.resolve();
  });
  watcher.start({ disconnect: true });
  writeNow(other, Buffer.from('x'));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(events, []);
  closeFd(other);
  await told.promise;
  assert.deepEqual(events[0], [false, false]);
  events = [];
  told = Promise.withResolvers();
  watcher.start({ readable: true, disconnect: true });
  await told.promise;
  assert.deepEqual(events[0], [true, false]);
  // The descriptor may be closed before the loop has let go of the watcher.
  const closed = watcher.close();
  closeFd(own);
  await closed;
});
