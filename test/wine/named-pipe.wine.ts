import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNamedPipe, listenNamedPipe, openCallbackRoutes } from '@hcsshim/windows';

const path = (name: string): string => `\\\\.\\pipe\\hcsshim-${name}-${process.pid}`;

describe('named pipes', { timeout: 30_000 }, () => {
  afterEach(() => assert.equal(openCallbackRoutes(), 0));

  test('carry both ways between a listener with a security descriptor and its clients, one after another', async () => {
    await using listener = await listenNamedPipe(path('served'));
    for (const name of ['first', 'second', 'third']) {
      const [client, server] = await Promise.all([connectNamedPipe(listener.path), listener.accept()]);
      client.write(name);
      assert.equal(String((await once(server, 'data'))[0]), name);
      server.end(`for the ${name}`);
      assert.equal(await text(client), `for the ${name}`);
    }
  });

  test('that nobody accepts yet keep their client and what it has said', async () => {
    await using listener = await listenNamedPipe(path('early'));
    const client = await connectNamedPipe(listener.path);
    client.write('early');
    const server = await listener.accept();
    assert.equal(String((await once(server, 'data'))[0]), 'early');
    client.destroy();
    server.destroy();
  });

  test('refuse a security descriptor that is none', async () => {
    await assert.rejects(listenNamedPipe(path('sddl'), { securityDescriptor: 'anyone' }), {
      name: 'DllCallError',
      procedure: 'ConvertStringSecurityDescriptorToSecurityDescriptorW',
    });
  });

  test('are free again after their listener has closed, and accept is given up then, or by its signal', async () => {
    const listener = await listenNamedPipe(path('again'));
    const reason = new Error('enough');
    const controller = new AbortController();
    const impatient = listener.accept(controller);
    controller.abort(reason);
    await assert.rejects(impatient, reason);
    const accepting = listener.accept();
    await Promise.all([
      assert.rejects(accepting, /the listener is closed/),
      listener[Symbol.asyncDispose](),
      listener[Symbol.asyncDispose](),
    ]);
    await assert.rejects(listener.accept(), /the listener is closed/);
    await using _ = await listenNamedPipe(listener.path);
  });

  test('that are absent are waited for, until they are there', async () => {
    const connecting = connectNamedPipe(path('late'));
    await sleep(200);
    await using _ = createServer((socket) => socket.end('at last')).listen(path('late'));
    assert.equal(await text(await connecting), 'at last');
  });

  test('that stay absent are given up by time and by signal', async () => {
    await assert.rejects(connectNamedPipe(path('never'), { timeout: 100 }), {
      code: 'ENOENT',
      message: /it was absent or busy for 0.1 s$/,
    });
    await assert.rejects(connectNamedPipe(path('never'), { signal: AbortSignal.timeout(50) }), {
      name: 'TimeoutError',
    });
  });
});
