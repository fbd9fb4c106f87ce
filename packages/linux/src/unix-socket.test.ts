import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { receiveFds, sendFds } from './ancillary-fds.ts';
import { streamFromFd } from './fd-stream.ts';
import { waitUntilReady } from './fd-watcher.ts';
import { closeFd } from './libc.ts';
import { createMemfd } from './memfd.ts';
import { MemoryMap } from './memory-map.ts';
import { connectUnix, listenUnix, openSocketPair } from './unix-socket.ts';

async function temporaryDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'hcsshim-linux-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** All that comes, without destroying the stream at the end as an async iterator does. */
async function received(stream: Socket): Promise<string> {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  await once(stream, 'end');
  return text;
}

test('both ends of a connection are streams that close each direction on its own', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'socket');
  await using listener = listenUnix(path);
  const [server, client] = (await Promise.all([listener.accept(), connectUnix(path)])).map((fd) =>
    streamFromFd(fd),
  ) as [Socket, Socket];
  client.end('question');
  assert.equal(await received(server), 'question');
  server.end('answer');
  assert.equal(await received(client), 'answer');
});

test('nobody listening is ECONNREFUSED, no socket ENOENT', async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, 'socket');
  await assert.rejects(connectUnix(path), { code: 'ENOENT', message: new RegExp(`"${path}"`) });
  await listenUnix(path).close();
  await assert.rejects(connectUnix(path), { code: 'ECONNREFUSED' });
});

test('accept ends by its signal and by the end of the listener', async () => {
  await using directory = await temporaryDirectory();
  const listener = listenUnix(join(directory.path, 'socket'));
  await assert.rejects(listener.accept({ signal: AbortSignal.timeout(5) }), { name: 'TimeoutError' });
  const waiting = listener.accept();
  waiting.catch(() => {});
  await listener.close();
  await assert.rejects(waiting, { code: 'ECANCELED' });
  await assert.rejects(listener.accept(), { code: 'ECANCELED' });
});

test('a path that is too long says how long it may be', () => {
  assert.throws(() => listenUnix(`/tmp/${'x'.repeat(120)}`), /125 bytes, use one of at most 107/);
});

test('descriptors travel with data and show the same memory', async () => {
  const [near, far] = openSocketPair();
  const memory = createMemfd('shared', 8192);
  assert.equal(sendFds(near, Buffer.from('two'), [memory, memory]), 3);
  await waitUntilReady(far, 'readable');
  const into = new Uint8Array(16);
  const { length, fds } = receiveFds(far, into);
  assert.equal(Buffer.from(into.subarray(0, length)).toString(), 'two');
  assert.equal(fds.length, 2);
  {
    using map = new MemoryMap(fds[0]!, { length: 4096, offset: 4096 });
    new Uint8Array(map.buffer)[1] = 0xaa;
  }
  const byte = new Uint8Array(1);
  readSync(memory, byte, 0, 1, 4097);
  assert.equal(byte[0], 0xaa);
  assert.throws(() => receiveFds(far, into), { code: 'EAGAIN' });
  for (const fd of [...fds, memory, near]) closeFd(fd);
  assert.deepEqual(receiveFds(far, into), { length: 0, fds: [] });
  closeFd(far);
});

test('a map that is disposed shows nothing any more', () => {
  const memory = createMemfd('map', 4096);
  const map = new MemoryMap(memory, { length: 4096 });
  closeFd(memory);
  const bytes = new Uint8Array(map.buffer);
  bytes[0] = 1;
  map[Symbol.dispose]();
  map[Symbol.dispose]();
  assert.equal(bytes[0], undefined);
  assert.equal(bytes.length, 0);
});

test('a map beyond the end of the file is refused', () => {
  const memory = createMemfd('short', 4096);
  assert.throws(() => new MemoryMap(memory, { length: 4097 }), /it has 4096 bytes/);
  closeFd(memory);
});
