import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CpuLimit } from '@hcsshim/windows';
import { readCommandLine } from './command-line.ts';
import { describeLimits, type LimitedJob, run, usage } from './jobobject-util.ts';

function job({ cpu, memory, affinity }: { cpu?: CpuLimit; memory?: bigint; affinity?: bigint }): LimitedJob {
  return { cpuLimit: async () => cpu, memoryLimit: async () => memory, affinity: async () => affinity };
}

function refused(words: string[], message: string): void {
  assert.throws(() => readCommandLine(words), { name: 'FlagError', message });
}

describe('the command line', () => {
  test('asks for limits of a job', () => {
    assert.deepEqual(readCommandLine(['get', '-cpu-limit', '--use-nt', '--memory-limit', '\\Container_1']), {
      command: 'get',
      name: '\\Container_1',
      useNt: true,
      wanted: ['cpu-limit', 'memory-limit'],
    });
  });

  test('sets limits of a job', () => {
    const words = ['set', '--cpu-weight=9', '--memory-limit', '0x100000', '--cpu-affinity', '101', 'example'];
    assert.deepEqual(readCommandLine(words), {
      command: 'set',
      name: 'example',
      useNt: false,
      limits: { cpu: { weight: 9 }, memory: 1_048_576n, affinity: 5n },
    });
  });

  test('that cannot be understood is refused in words', () => {
    refused(['get'], 'Cannot start: the name of a job object is missing');
    refused(['get', 'a', '--cpu-limit'], 'Cannot understand "--cpu-limit": flags go before the name');
    refused(['put'], 'Cannot understand "put": there is no command of this name');
    refused(['set', 'a'], 'Cannot set limits: none is given');
    refused(
      ['set', '--cpu-limit', '1', '--cpu-weight', '1', 'a'],
      'Cannot take both --cpu-limit and --cpu-weight: a job has one of them',
    );
    refused(['set', '--memory-limit', '1GB', 'a'], 'Cannot take --memory-limit "1GB": give a number');
    refused(
      ['set', '--cpu-affinity', '12', 'a'],
      'Cannot take --cpu-affinity "12": give up to 64 binary digits, as 1101',
    );
  });

  test('with no command or -help gives the usage', async () => {
    for (const words of [[], ['-help'], ['help'], ['get', '-h'], ['set', '--help']]) {
      assert.equal(await run(words), usage);
    }
  });
});

describe('what is read of a job', () => {
  test('has a line for each limit that is asked for, and 0 where there is none', async () => {
    const limited = job({ cpu: { rate: 5000 }, memory: 1n << 30n, affinity: 0b1101n });
    assert.equal(
      await describeLimits(limited, 'a', ['cpu-limit', 'memory-limit', 'cpu-affinity']),
      'cpu-limit: 5000\nmemory-limit: 1073741824\ncpu-affinity: 1101\n',
    );
    assert.equal(
      await describeLimits(job({}), 'a', ['memory-limit', 'cpu-affinity']),
      'memory-limit: 0\ncpu-affinity: 0\n',
    );
  });

  test('is all that is set when nothing is asked for', async () => {
    assert.equal(
      await describeLimits(job({ cpu: { weight: 3 }, affinity: 1n }), 'a', []),
      'cpu-weight: 3\ncpu-affinity: 1\n',
    );
    assert.equal(await describeLimits(job({}), 'a', []), '');
  });

  test('has no CPU limit where there is a weight or nothing', async () => {
    await assert.rejects(describeLimits(job({ cpu: { weight: 3 } }), 'a', ['cpu-limit']), {
      message: 'Cannot read the CPU limit of job object "a": it has a weight instead',
    });
    await assert.rejects(describeLimits(job({}), 'a', ['cpu-weight']), {
      message: 'Cannot read the CPU weight of job object "a": it has none',
    });
  });
});

test('elsewhere than on Windows it says what it needs', { skip: process.platform === 'win32' }, async () => {
  await assert.rejects(run(['get', 'a']), {
    message: `Cannot get limits of a job object on ${process.platform}: it needs Windows`,
  });
});
