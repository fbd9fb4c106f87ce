/** The programs that need Windows, from their sources: what they print and how they end. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { JobObject } from '@hcsshim/windows';

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
function run(name: string, ...args: string[]): Promise<Outcome> {
  const main = join(import.meta.dirname, '../../cmd', name, 'src/main.ts');
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  execFile(
    process.execPath,
    [...process.execArgv, main, ...args],
    { timeout: 60_000 },
    (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
  );
  return promise;
}

describe('device-util', () => {
  test('lists an object directory on one line', async () => {
    const { code, stdout, stderr } = await run('device-util', 'obj-dir', '--dir', '\\??');
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, /^[^\n]+\n$/);
    const names = stdout.trim().split(',');
    assert.ok(names.includes('C:') && names.includes('NUL'), stdout);
  });

  test('says that the directory is not there: Wine has no \\Global??', async () => {
    assert.deepEqual(await run('device-util', 'obj-dir'), {
      code: 1,
      stdout: '',
      stderr:
        'device-util: Cannot list object directory "\\Global??": NtOpenDirectoryObject failed with NTSTATUS 0xC0000034, File not found\n',
    });
  });

  test('lists no children under Wine, which has stubs for devices', async () => {
    const outcome = await run(
      'device-util',
      'children',
      '--parentID',
      'HTREE\\ROOT\\0',
      '--property=location',
    );
    assert.deepEqual(outcome, { code: 0, stdout: '\n', stderr: '' });
  });

  test('gives its usage with an error of the command line', async () => {
    const { code, stdout, stderr } = await run('device-util', 'children');
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^device-util: Cannot list children: --parentID is missing\nUsage: device-util obj-dir/,
    );
  });
});

describe('jobobject-util', () => {
  test('reads and sets limits of a job by its name and by its native path', async () => {
    const name = `hcsshim-test-util-${process.pid}`;
    await using job = await JobObject.create({ name });
    assert.deepEqual(
      await run('jobobject-util', 'set', '--memory-limit', '104857600', '--cpu-affinity', '1', name),
      {
        code: 0,
        stdout: '',
        stderr: '',
      },
    );
    // Wine forgets the limits: none is set.
    assert.deepEqual(await run('jobobject-util', 'get', '--memory-limit', '--cpu-affinity', name), {
      code: 0,
      stdout: 'memory-limit: 0\ncpu-affinity: 0\n',
      stderr: '',
    });
    const path = `\\BaseNamedObjects\\${name}-native`;
    await using native = await JobObject.create({ name: path, useNt: true });
    assert.equal(
      (await run('jobobject-util', 'get', '--use-nt', '--memory-limit', path)).stdout,
      'memory-limit: 0\n',
    );
    assert.deepEqual([await job.processIds(), await native.processIds()], [[], []]);
  });

  test('says what Wine refuses, and that a job does not exist', async () => {
    const name = `hcsshim-test-cpu-${process.pid}`;
    await using job = await JobObject.create({ name });
    assert.deepEqual(await run('jobobject-util', 'set', '--cpu-limit', '5000', name), {
      code: 1,
      stdout: '',
      stderr: `jobobject-util: Cannot limit job object "${name}": SetInformationJobObject failed with WIN32_ERROR 0x00000057, Invalid parameter\n`,
    });
    await job.close();
    assert.deepEqual(await run('jobobject-util', 'get', '--cpu-limit', name), {
      code: 1,
      stdout: '',
      stderr: `jobobject-util: Cannot open job object "${name}": OpenJobObjectW failed with WIN32_ERROR 0x00000002, File not found\n`,
    });
  });

  test('ends when its output is closed early', async () => {
    const main = join(import.meta.dirname, '../../cmd/jobobject-util/src/main.ts');
    const child = spawn(process.execPath, [...process.execArgv, main, '--help'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.destroy();
    const { promise, resolve } = Promise.withResolvers<number | null>();
    child.once('exit', resolve);
    assert.equal(await promise, 0);
  });
});

describe('grantvmgroupaccess', () => {
  test('grants access to a file and a directory, and says what is not there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'grant-'));
    const file = join(directory, 'disk.vhdx');
    await writeFile(file, '');
    const done = { code: 0, stdout: '', stderr: '' };
    assert.deepEqual(await run('grantvmgroupaccess', file), done);
    assert.deepEqual(await run('grantvmgroupaccess', '-read', '-write', '-execute', '-all', directory), done);
    await rm(directory, { recursive: true });
    const { code, stdout, stderr } = await run('grantvmgroupaccess', file);
    assert.deepEqual([code, stdout], [1, '']);
    assert.ok(stderr.startsWith(`grantvmgroupaccess: Cannot let virtual machines use "${file}": `), stderr);
    assert.match(stderr, /ERROR_FILE_NOT_FOUND/);
  });
});

describe('zapdir', () => {
  test('says that the directory is not there', async () => {
    assert.deepEqual(await run('zapdir', '-dir', 'C:\\missing\\layer'), {
      code: 1,
      stdout: '',
      stderr: 'zapdir: Cannot remove "C:\\missing\\layer": no such file or directory\n',
    });
  });

  test('says what the service says: here that the directory is no layer', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'zap-'));
    assert.deepEqual(await run('zapdir', '--dir', directory), {
      code: 1,
      stdout: '',
      stderr: `zapdir: Cannot destroy layer "${directory}": DestroyLayer failed, a directory on the way to a file does not exist, ERROR_PATH_NOT_FOUND (0x80070003)\n`,
    });
    await rm(directory, { recursive: true });
  });
});
