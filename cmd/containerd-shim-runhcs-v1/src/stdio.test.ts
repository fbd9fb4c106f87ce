import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ProcessStdio } from './stdio.ts';
import type { HostedProcess } from './task-host.ts';

const none = { stdin: '', stdout: '', stderr: '', terminal: false };

async function makeFifos(t: TestContext, ...names: string[]): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'shim-fifo-'));
  t.after(() => {
    assert.deepEqual(descriptorsInto(directory), [], 'all descriptors are closed');
    rmSync(directory, { recursive: true });
  });
  const paths = names.map((name) => join(directory, name));
  await promisify(execFile)('mkfifo', paths);
  return paths;
}

function descriptorsInto(directory: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(directory) ? [target] : [];
    } catch {
      return [];
    }
  });
}

/** An end of a FIFO as containerd's client holds it. */
function openEnd(path: string, end: 'read' | 'write'): Socket {
  const mode = end === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
  const fd = openSync(path, mode | constants.O_NONBLOCK);
  return new Socket({ fd, readable: end === 'read', writable: end === 'write' });
}

function processWith(streams: Partial<HostedProcess>): HostedProcess {
  return { pid: 1, wait: async () => 0, kill: async () => true, resize: async () => {}, ...streams };
}

test('50 MiB of output arrive byte for byte, at the pace of the reader', async (t) => {
  const [path = ''] = await makeFifos(t, 'stdout');
  const chunk = randomBytes(1024 * 1024);
  const chunks = 50;
  let produced = 0;
  const source = new Readable({
    read() {
      this.push(produced++ < chunks ? chunk : null);
    },
  });
  const stdio = new ProcessStdio({ ...none, stdout: path }, 'it');
  const reader = openEnd(path, 'read');
  stdio.connect(processWith({ stdout: source }));
  await sleep(100);
  assert.ok(produced < 5, `nothing is read ahead of a reader that does not read, but ${produced} MiB were`);

  const expected = createHash('sha256');
  for (let index = 0; index < chunks; index++) expected.update(chunk);
  const received = createHash('sha256');
  let size = 0;
  reader.on('data', (data) => {
    size += data.length;
    received.update(data);
  });
  const end = once(reader, 'end');
  await stdio.drain();
  await end;
  assert.equal(size, chunks * chunk.length);
  assert.equal(received.digest('hex'), expected.digest('hex'));
});

test('input reaches the process and ends after CloseIO, not before', async (t) => {
  const [path = ''] = await makeFifos(t, 'stdin');
  const stdio = new ProcessStdio({ ...none, stdin: path }, 'it');
  const stdin = new PassThrough();
  stdio.connect(processWith({ stdin }));
  const writer = openEnd(path, 'write');
  writer.write('first, ');
  writer.end('then');
  await once(writer, 'close');
  let text = '';
  stdin.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  while (text.length < 11) await sleep(5);
  assert.equal(stdin.readableEnded, false, 'the writer has gone, the stream stays open');
  const ended = once(stdin, 'end');
  stdio.closeStdin();
  await ended;
  assert.equal(text, 'first, then');
  stdio.close();
  await sleep(20);
});

test('CloseIO before the process starts does not lose what its client writes', async (t) => {
  const [path = ''] = await makeFifos(t, 'stdin');
  const stdio = new ProcessStdio({ ...none, stdin: path }, 'it');
  assert.throws(() => openEnd(path, 'write'), { code: 'ENXIO' }, 'the client waits for a reader');
  const client = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  writeSync(client, 'early');
  stdio.closeStdin();
  const stdin = new PassThrough();
  stdio.connect(processWith({ stdin }));
  closeSync(client);
  assert.equal(Buffer.concat(await stdin.toArray()).toString(), 'early');
  stdio.close();
  await sleep(20);
});

test('output that nobody ends is given up after a while of silence', async (t) => {
  const [path = ''] = await makeFifos(t, 'stdout');
  const stdio = new ProcessStdio({ ...none, stdout: path }, 'it');
  const reader = openEnd(path, 'read');
  const stdout = new PassThrough();
  stdio.connect(processWith({ stdout }));
  stdout.write('held open by a grandchild');
  const received = reader.toArray();
  await stdio.drain();
  assert.equal(Buffer.concat(await received).toString(), 'held open by a grandchild');
});

test('output to a file URI is appended to the file, whose directory is made', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'shim-file-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'logs/out put.log');
  for (const text of ['one\n', 'two\n']) {
    const stdio = new ProcessStdio({ ...none, stdout: `file://${encodeURI(path)}` }, 'it');
    stdio.connect(processWith({ stdout: Readable.from([text]) }));
    await stdio.drain();
  }
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
});

test('streams that cannot be are refused in words, with nothing left open', async (t) => {
  const [path = ''] = await makeFifos(t, 'stdin');
  const cases: [stdio: Partial<ProcessStdio['paths']>, code: string, message: RegExp][] = [
    [{ stdout: 'binary:///bin/logger?id=1' }, 'Unimplemented', /logging programs are not supported/],
    [{ stdout: 'npipe:////./pipe/x' }, 'InvalidArgument', /must be an absolute path/],
    [{ stdout: 'relative' }, 'InvalidArgument', /must be an absolute path/],
    [{ stdout: '/nowhere/stdout' }, 'NotFound', /there is no such file/],
    [{ stderr: path, terminal: true }, 'FailedPrecondition', /Cannot create it: a terminal has one stream/],
  ];
  for (const [stdio, code, message] of cases) {
    assert.throws(() => new ProcessStdio({ ...none, stdin: path, ...stdio }, 'it'), { code, message });
  }
});
