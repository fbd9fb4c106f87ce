import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { describeError, Log } from './log.ts';

function openFifo(): { fd: number; directory: string; read: () => string } & Disposable {
  const directory = mkdtempSync(join(tmpdir(), 'shim-log-'));
  const path = join(directory, 'log');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(1024 * 1024);
  return {
    fd,
    directory,
    read: () => buffer.toString('utf8', 0, readSync(fd, buffer)),
    [Symbol.dispose]() {
      closeSync(fd);
      rmSync(directory, { recursive: true });
    },
  };
}

test('a line is JSON with level, message, time and fields', () => {
  using fifo = openFifo();
  const log = new Log(fifo.fd, { shim: 'x' }, 'info');
  log.debug('not this');
  log.info('hello', { ms: 5 });
  const { time, ...line } = JSON.parse(fifo.read());
  assert.deepEqual(line, { level: 'info', msg: 'hello', shim: 'x', ms: 5 });
  assert.ok(Date.parse(time));
});

test('a log that nobody reads does not stop the shim; the next line tells what was dropped', () => {
  using fifo = openFifo();
  const log = new Log(fifo.fd, {}, 'debug');
  for (let index = 0; index < 100; index++) log.info('x'.repeat(5000));
  const kept = fifo.read().split('\n').length - 1;
  log.info('room again');
  assert.equal(JSON.parse(fifo.read().trim()).dropped, 100 - kept);
  log.info('once');
  assert.equal(JSON.parse(fifo.read()).dropped, undefined);
});

test('an error is described with its causes, none of them twice', () => {
  const root = new Error('no such file');
  const middle = new Error('Cannot read "x": no such file', { cause: root });
  assert.equal(
    describeError(new Error('Cannot start', { cause: middle })),
    'Cannot start: Cannot read "x": no such file',
  );
  assert.equal(describeError('text'), 'text');
});
