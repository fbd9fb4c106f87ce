import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/hcs';
import { findQemu } from './qemu-program.ts';
import { QmpClient, QmpClosedError, QmpError } from './qmp.ts';

const greeting =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}\r\n';

/** A QEMU of one screen: greets, answers `qmp_capabilities`, and leaves the rest to `answer`. */
function fakeQemu(
  answer: (command: { execute: string; id: number; arguments: unknown }, side: Duplex) => void,
): Duplex {
  const [ours, theirs] = duplexPair();
  let text = '';
  theirs.on('error', () => {});
  theirs.setEncoding('utf8');
  theirs.on('data', (piece: string) => {
    text += piece;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n')) {
      const command = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if (command.execute === 'qmp_capabilities') theirs.write(`{"return": {}, "id": ${command.id}}\r\n`);
      else answer(command, theirs);
    }
  });
  theirs.write(greeting);
  return ours;
}

describe('the QMP client', () => {
  test('sends one line a command and returns what came under its id', async () => {
    const lines: unknown[] = [];
    const client = await QmpClient.connect(
      fakeQemu((command, side) => {
        lines.push(command);
        // Answered in the wrong order, with an event between.
        if (lines.length === 2) {
          side.write('{"return": {"second": true}, "id": 3}\r\n{"timestamp": {}, "event": "STOP"}\r\n');
          side.write('{"return": {"first": true}, "id": 2}\r\n');
        }
      }),
    );
    const events: string[] = [];
    client.onEvent(({ event }) => events.push(event));
    const answers = await Promise.all([client.execute('one', { a: 1 }), client.execute('two')]);
    assert.deepEqual(answers, [{ first: true }, { second: true }]);
    assert.deepEqual(lines, [
      { execute: 'one', arguments: { a: 1 }, id: 2 },
      { execute: 'two', arguments: {}, id: 3 },
    ]);
    assert.deepEqual(events, ['STOP']);
    client.close();
  });

  test('turns a refusal into an error with its class and words', async () => {
    const client = await QmpClient.connect(
      fakeQemu(({ id }, side) =>
        side.write(`{"id": ${id}, "error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}}\r\n`),
      ),
    );
    await assert.rejects(client.execute('device_del', { id: 'x' }), (error) => {
      assert.ok(error instanceof QmpError);
      assert.equal(error.errorClass, 'DeviceNotFound');
      assert.equal(error.message, `QEMU refused "device_del": Device 'x' not found (DeviceNotFound)`);
      return true;
    });
    client.close();
  });

  test('waits for the event that ends a command, also when it comes before the answer', async () => {
    const client = await QmpClient.connect(
      fakeQemu(({ id }, side) => {
        side.write('{"event": "DEVICE_DELETED", "data": {"device": "other"}}\r\n');
        side.write(`{"event": "DEVICE_DELETED", "data": {"device": "x"}}\r\n{"return": {}, "id": ${id}}\r\n`);
      }),
    );
    const { data } = await client.executeUntil('device_del', { id: 'x' }, ({ data }) => data.device === 'x');
    assert.deepEqual(data, { device: 'x' });
    client.close();
  });

  test('fails what is pending when the connection is lost, and all that comes after', async () => {
    const client = await QmpClient.connect(fakeQemu((_, side) => side.destroy()));
    await assert.rejects(client.execute('quit'), QmpClosedError);
    await client.closed;
    await assert.rejects(client.execute('query-status'), QmpClosedError);
  });

  test('fails what is pending when QEMU sends what is no QMP', async () => {
    const client = await QmpClient.connect(
      fakeQemu((_, side) => side.write('x'.repeat(100))),
      { lineLimit: 99 + greeting.length },
    );
    const pending = client.execute('query-status');
    await assert.rejects(client.execute('query-status', {}), /no QMP/);
    await assert.rejects(pending, QmpClosedError);
  });

  test('gives a command up with its signal, and after its deadline', async () => {
    const client = await QmpClient.connect(fakeQemu(() => {}));
    const reason = new Error('enough');
    await assert.rejects(client.execute('x', {}, { signal: AbortSignal.abort(reason) }), reason);
    await assert.rejects(client.execute('x', {}, { timeout: 5 }), (error) =>
      isHcsError(error, 'HCS_E_OPERATION_TIMEOUT'),
    );
    client.close();
  });
});

test('a QEMU without a machine tells its state, refuses nonsense and quits', async (t) => {
  const cache = await mkdtemp(join(tmpdir(), 'hcsshim-test-'));
  t.after(() => rm(cache, { recursive: true, force: true }));
  const qemu = await findQemu(cache).catch(() => undefined);
  if (!qemu) return t.skip('QEMU is not installed');
  const child = spawn(
    qemu.path,
    [
      '-S',
      '-nodefaults',
      '-machine',
      'none',
      '-display',
      'none',
      '-chardev',
      'socket,id=qmp,fd=3',
      '-mon',
      'chardev=qmp,mode=control',
    ],
    { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  t.after(() => child.kill('SIGKILL'));
  const client = await QmpClient.connect((child.stdio as unknown as Duplex[])[3] as Duplex);
  assert.deepEqual(await client.execute('query-status'), {
    running: false,
    singlestep: false,
    status: 'prelaunch',
  });
  await assert.rejects(client.execute('no-such-command'), (error) => {
    return error instanceof QmpError && error.errorClass === 'CommandNotFound';
  });
  await assert.rejects(client.execute('device_del', { id: 'none' }), /Device 'none' not found/);
  const { event } = await client.executeUntil('quit', {}, ({ event }) => event === 'SHUTDOWN');
  assert.equal(event, 'SHUTDOWN');
  await client.closed;
  assert.equal(await ended, 0);
});
