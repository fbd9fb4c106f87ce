import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { buffer, text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import {
  bind,
  type Dll,
  type Handle,
  HostProcess,
  JobObject,
  kernel32,
  openCallbackRoutes,
} from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

const shell = 'C:\\windows\\system32\\cmd.exe';
const node = process.execPath;

const tokens = {
  file: 'advapi32.dll',
  build: 0,
  source: 'processthreadsapi.h',
  procedures: {
    OpenProcessToken: {
      returns: 'BOOL',
      parameters: { process: 'HANDLE', desiredAccess: 'DWORD', token: 'out HANDLE' },
      immediate: true,
      purpose: 'Token of a process',
    },
  },
} as const satisfies Dll;

/** A process that runs until it is ended. */
function startWaiting(options: { job?: JobObject } = {}): Promise<HostProcess> {
  return HostProcess.start({ program: shell, commandLine: 'cmd /c pause', stdin: true, ...options });
}

describe('a process on the host', () => {
  test('has its command line, environment and directory, and gives its output and exit code', async () => {
    await using started = await HostProcess.start({
      program: shell,
      commandLine: 'cmd /c cd& echo %GREETING%& echo wrong 1>&2& exit 300',
      directory: 'C:\\windows',
      environment: { greeting: 'old', GREETING: 'héllo' },
      stdout: true,
      stderr: true,
    });
    assert.equal(started.stdin, null);
    assert.equal(started.exitCode, undefined);
    const [stdout, stderr, exitCode] = await Promise.all([
      buffer(started.stdout!),
      text(started.stderr!),
      started.wait(),
    ]);
    assert.match(stdout.toString('latin1'), /^C:\\windows\r\nh.+llo\r\n$/);
    assert.equal(stderr.trim(), 'wrong');
    assert.equal(exitCode, 300);
    assert.equal(started.exitCode, 300);
  });

  test('carries many bytes through its streams', async () => {
    const program = 'process.stdin.pipe(process.stdout)';
    await using echo = await HostProcess.start({
      program: node,
      commandLine: `node -e "${program}"`,
      stdin: true,
      stdout: true,
    });
    const bytes = Buffer.alloc(2_000_000, 'stream');
    echo.stdin!.end(bytes);
    assert.ok((await buffer(echo.stdout!)).equals(bytes));
    assert.equal(await echo.wait(), 0);
  });

  test('is in its job before it has run', async () => {
    await using job = await JobObject.create();
    await using started = await startWaiting({ job });
    assert.deepEqual(await job.processIds(), [started.processId]);
    await job.terminate(9);
    assert.equal(await started.wait(), 9);
  });

  test('is found below its directory when its path is relative', async () => {
    await using started = await HostProcess.start({
      program: 'system32\\cmd.exe',
      commandLine: 'cmd /c exit 4',
      directory: 'C:\\windows',
    });
    assert.equal(await started.wait(), 4);
  });

  test('can have another parent, and then no pipes', async () => {
    await using parent = await startWaiting();
    await using child = await HostProcess.start({
      program: shell,
      commandLine: 'cmd /c exit 5',
      parent: parent.processId,
    });
    assert.equal(await child.wait(), 5);
    await assert.rejects(
      HostProcess.start({ program: shell, parent: parent.processId, stdout: true }),
      /^TypeError: Cannot start ".+": it cannot have both pipes and another parent$/,
    );
    await parent.kill();
  });

  test('runs as the user of a token', async () => {
    const currentProcess = 0xffffffffffffffffn as Handle<'HANDLE'>;
    const allAccess = { process: currentProcess, desiredAccess: 0xf01ff };
    const { token } = bind(tokens).OpenProcessToken(allAccess);
    try {
      await using started = await HostProcess.start({
        program: shell,
        commandLine: 'cmd /c echo as a user& exit 8',
        token,
        stdout: true,
      });
      assert.deepEqual(await Promise.all([text(started.stdout!), started.wait()]), ['as a user\r\n', 8]);
    } finally {
      bind(kernel32).CloseHandle({ object: token });
    }
  });

  test('is killed with an exit code, and a second time nothing happens', async () => {
    await using started = await startWaiting();
    await started.kill(77);
    assert.equal(await started.wait(), 77);
    await started.kill(78);
    assert.equal(await started.wait(), 77, 'a wait after the end');
  });

  test('that cannot be started is told in words, with nothing left open', async () => {
    const start = () =>
      HostProcess.start({ program: 'C:\\missing.exe', stdin: true, stdout: true, stderr: true });
    await assert.rejects(start, {
      name: 'WindowsError',
      message:
        'Cannot start "C:\\missing.exe": CreateProcessW failed with WIN32_ERROR 0x00000002, File not found',
    });
    await assert.rejects(
      HostProcess.start({ program: shell, commandLine: 'a\0b' }),
      /its command line has a NUL character in it/,
    );
    const before = openHandles();
    for (let count = 0; count < 20; count++) await assert.rejects(start);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(openHandles() - before < 10, `${openHandles() - before} handles more than before`);
  });

  test('leaves no handle, callback or listener behind', async () => {
    const { signal } = new AbortController();
    const run = async () => {
      await using started = await HostProcess.start({
        program: shell,
        commandLine: 'cmd /c echo x',
        stdout: true,
      });
      await Promise.all([text(started.stdout!), started.wait({ signal }), started.wait()]);
    };
    await run();
    const before = openHandles();
    for (let count = 0; count < 8; count++) await run();
    assert.ok(openHandles() - before < 5, `${openHandles() - before} handles more than before`);
    assert.equal(openCallbackRoutes(), 0);
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });

  test('is waited for without a thread: calls go on under a hundred waits', async () => {
    await using started = await startWaiting();
    const waits = Array.from({ length: 100 }, () => started.wait());
    const { totalBytes } = await bind(kernel32).GetDiskFreeSpaceExW({ directoryName: 'C:\\' });
    assert.ok(totalBytes > 0n);
    await started.kill(3);
    assert.deepEqual(new Set(await Promise.all(waits)), new Set([3]));
  });

  test('is waited for until the signal is aborted, or it is closed here', async () => {
    await using job = await JobObject.create();
    // Without streams, whose end it would take for its own.
    const commandLine = 'node -e "setInterval(() => {}, 1000)"';
    const started = await HostProcess.start({ program: node, commandLine, job });
    await assert.rejects(started.wait({ signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
    await assert.rejects(started.wait({ signal: AbortSignal.abort() }), { name: 'AbortError' });
    const closedHere = /^Error: Cannot (wait for|kill) process \d+: it has been closed here$/;
    const rejected = assert.rejects(started.wait(), closedHere);
    await started.close();
    await rejected;
    await assert.rejects(started.wait(), closedHere);
    await assert.rejects(started.kill(), closedHere);
    assert.deepEqual(await job.processIds(), [started.processId], 'it goes on');
    await job.terminate(0);
  });

  test('keeps this process alive while it is waited for', async () => {
    const program = `
      import { HostProcess } from '@hcsshim/windows';
      const started = await HostProcess.start({ program: ${JSON.stringify(shell)}, commandLine: 'cmd /c ping -n 2 127.0.0.1 > nul & exit 6' });
      process.exitCode = 1;
      process.exitCode = (await started.wait()) + 1;
      await started.close();
    `;
    await using outer = await HostProcess.start({
      program: node,
      commandLine: `node ${process.execArgv.map((arg) => `"${arg}"`).join(' ')} --input-type=module`,
      stdin: true,
      stderr: true,
    });
    outer.stdin!.end(program);
    const [stderr, exitCode] = await Promise.all([text(outer.stderr!), outer.wait()]);
    assert.equal(exitCode, 7, stderr);
  });
});
