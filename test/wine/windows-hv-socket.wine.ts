import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWindowsHvSocket, HyperVId } from '@hcsshim/bridge/windows';
import { bind, kernel32, openCallbackRoutes } from '@hcsshim/windows';
import { assertNoSocketsLeaked, createStandInHvSocket, hvSocketLedger } from './hv-socket-stand-in.ts';
import { LoopbackPort } from './loopback-hv-socket.ts';

const sockets = createStandInHvSocket();
const { loopback } = HyperVId;
const unknownVm = '11111111-2222-4333-8444-555555555555';

async function connected(port: number): Promise<Duplex> {
  const stream = await sockets.connect(loopback, port);
  stream.on('error', () => {});
  return stream;
}

describe('hvsockets of Windows, over a Winsock that stands in', { timeout: 60_000 }, () => {
  afterEach(assertNoSocketsLeaked);

  test('carry bytes and the end of each direction on its own', async () => {
    const stream = await connected(LoopbackPort.echo);
    stream.write('there');
    assert.equal(String((await once(stream, 'data'))[0]), 'there');
    stream.end(' and back');
    assert.equal(await text(stream), ' and back');
  });

  test('carry many bytes both ways at once', async () => {
    const stream = await connected(LoopbackPort.echo);
    const bytes = Buffer.alloc(8_000_000, 'hvsocket é');
    stream.end(bytes);
    assert.ok((await buffer(stream)).equals(bytes));
  });

  test('push back while the other side does not read', async () => {
    await using listener = await sockets.listen(loopback, 5000);
    const [client, server] = await Promise.all([connected(5000), listener.accept()]);
    const chunk = Buffer.alloc(1 << 20);
    let sent = 0;
    while (sent < 64 && (await written(client, chunk, 500))) sent++;
    assert.ok(sent < 64, 'it took all that there was');
    let received = 0;
    server.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    client.end();
    await once(server, 'end');
    assert.equal(received, (sent + 1) * chunk.length);
    server.end();
    await closed(client, server);
  });

  test('give the listener its connections in the order of their arrival, and keep those nobody waits for', async () => {
    await using listener = await sockets.listen(loopback, 5001);
    assert.equal(listener.port, 5001);
    const clients: Duplex[] = [];
    for (let number = 0; number < 10; number++) {
      const client = await connected(5001);
      client.end(String(number));
      clients.push(client);
      await sleep(20);
    }
    const early = await Promise.all([1, 2, 3, 4].map(() => listener.accept()));
    const late: Duplex[] = [];
    for (let number = 4; number < 10; number++) late.push(await listener.accept());
    const numbers = await Promise.all([...early, ...late].map(text));
    assert.deepEqual(numbers, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    for (const server of [...early, ...late]) server.end();
    for (const client of clients) client.resume();
    await closed(...clients, ...early, ...late);
  });

  test('let the server end first and still hear the client', async () => {
    await using listener = await sockets.listen(loopback, 5002);
    const [client, server] = await Promise.all([connected(5002), listener.accept()]);
    server.end('no more');
    assert.equal(await readToEnd(client), 'no more');
    client.end('but I');
    assert.equal(await readToEnd(server), 'but I');
    await closed(client, server);
  });

  test('tell of a reset with its code', async () => {
    const stream = await connected(LoopbackPort.reset);
    stream.write('x');
    const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNRESET');
    await closed(stream);
  });

  test('say in words that nothing listens, that a port is taken, and that there is no such VM', async () => {
    await assert.rejects(sockets.connect(loopback, 4711), {
      code: 'ECONNREFUSED',
      errno: 10061,
      message: `Cannot connect to port 4711 of VM ${loopback}: nothing listens there, WSAECONNREFUSED (10061)`,
    });
    await using _ = await sockets.listen(loopback, 5003);
    await assert.rejects(sockets.listen(loopback, 5003), {
      code: 'EADDRINUSE',
      message: /: the port is taken, choose another, WSAEADDRINUSE \(10048\)$/,
    });
    for (const call of [sockets.listen(unknownVm, 1), sockets.connect(unknownVm, 1)])
      await assert.rejects(call, { code: 'HCS_E_SYSTEM_NOT_FOUND', message: /WSAEADDRNOTAVAIL/ });
  });

  test('refuse what is no port or GUID before any call', async () => {
    const made = hvSocketLedger.StandInCountCalls({ procedure: 'WSASocketW' });
    for (const port of [-1, 1.5, 0xffffffff])
      await assert.rejects(sockets.listen(loopback, port), { code: 'E_INVALIDARG' });
    await assert.rejects(sockets.connect('vm', 1), { code: 'E_INVALIDARG' });
    assert.equal(hvSocketLedger.StandInCountCalls({ procedure: 'WSASocketW' }), made);
  });

  test('give up a connection by its signal and by its time', async () => {
    const reason = new Error('enough');
    const connecting = sockets.connect(loopback, LoopbackPort.silent, { signal: AbortSignal.timeout(50) });
    await assert.rejects(connecting, { name: 'TimeoutError' });
    await assert.rejects(sockets.connect(loopback, 7, { signal: AbortSignal.abort(reason) }), reason);
    const impatient = createStandInHvSocket({ connectTimeout: 100 });
    await assert.rejects(impatient.connect(loopback, LoopbackPort.silent), {
      code: 'ETIMEDOUT',
      message: /the guest did not answer in time, WSAETIMEDOUT \(10060\)$/,
    });
  });

  test('give up to accept by the signal and by the close of the listener, and lose no connection by it', async () => {
    const listener = await sockets.listen(loopback, 5004);
    const controller = new AbortController();
    const reason = new Error('enough');
    const accepting = listener.accept(controller);
    const next = listener.accept();
    controller.abort(reason);
    await assert.rejects(accepting, reason);
    const client = await connected(5004);
    const server = await next;
    const waiting = listener.accept();
    await Promise.all([
      assert.rejects(waiting, { code: 'HCS_E_CONNECTION_CLOSED' }),
      listener[Symbol.asyncDispose](),
      listener[Symbol.asyncDispose](),
    ]);
    await assert.rejects(listener.accept(), { code: 'HCS_E_CONNECTION_CLOSED' });
    client.end('still here');
    assert.equal(await text(server), 'still here');
    server.end();
    client.resume();
    await closed(client, server);
    await using _ = await sockets.listen(loopback, 5004);
  });

  test('that wait leave the threads for calls free', async () => {
    const listeners = await Promise.all(
      Array.from({ length: 12 }, (_, index) => sockets.listen(loopback, 5100 + index)),
    );
    const accepting = listeners.map((listener) => listener.accept().catch((error: unknown) => error));
    const streams = await Promise.all(Array.from({ length: 12 }, () => connected(LoopbackPort.echo)));
    for (const stream of streams) stream.resume();
    const { totalBytes } = await bind(kernel32).GetDiskFreeSpaceExW({ directoryName: 'C:\\' });
    assert.ok(totalBytes > 0n);
    for (const stream of streams) stream.end();
    await Promise.all(listeners.map((listener) => listener[Symbol.asyncDispose]()));
    for (const result of await Promise.all(accepting)) assert.ok(result instanceof Error);
    await closed(...streams);
  });

  test('that Windows itself does not have are told in words', async () => {
    await assert.rejects(createWindowsHvSocket().connect(loopback, 1), {
      code: 'ERROR_NOT_SUPPORTED',
      message: /this Windows has no Hyper-V sockets, .*WSAEAFNOSUPPORT \(10047\)/,
    });
    assert.equal(openCallbackRoutes(), 0);
  });

  test('have called every procedure of the table', () => {
    for (const procedure of Object.keys(hvSocketLedger.procedures))
      assert.ok(hvSocketLedger.StandInCountCalls({ procedure }) > 0, procedure);
  });
});

/** Whether a write was taken within so many milliseconds. */
async function written(stream: Duplex, bytes: Buffer, patience: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  stream.write(bytes, () => resolve(true));
  return Promise.race([promise, sleep(patience, false)]);
}

/** Unlike `text`, it leaves the stream open for writing. */
async function readToEnd(stream: Duplex): Promise<string> {
  let said = '';
  stream.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  await once(stream, 'end');
  return said;
}

async function closed(...streams: Duplex[]): Promise<void> {
  await Promise.all(streams.map((stream) => (stream.closed ? undefined : once(stream, 'close'))));
}
