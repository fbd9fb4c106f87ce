import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMetrics } from './metrics.ts';

const files = (content: Record<string, string>) => (controller: string, file: string) =>
  content[`${controller}/${file}`];

test('version 1 is read as it is', () => {
  const read = files({
    'pids/pids.current': '3\n',
    'pids/pids.max': 'max\n',
    'cpuacct/cpuacct.usage': '123456789\n',
    'cpuacct/cpuacct.stat': 'user 4\nsystem 8\n',
    'cpuacct/cpuacct.usage_percpu': '100 23 \n',
    'cpu/cpu.stat': 'nr_periods 1\nnr_throttled 2\nthrottled_time 3\n',
    'memory/memory.stat':
      'cache 10\nrss 20\npgfault 5\ntotal_inactive_file 7\nhierarchical_memsw_limit 99\nignored 1\n',
    'memory/memory.usage_in_bytes': '4096\n',
    'memory/memory.limit_in_bytes': '8192\n',
    'memory/memory.max_usage_in_bytes': '5000\n',
    'memory/memory.failcnt': '0\n',
    'memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
  });
  assert.deepEqual(readMetrics(1, read), {
    pids: { current: 3, limit: 0 },
    cpu: {
      usage: { total: 123456789, kernel: 80_000_000, user: 40_000_000, per_cpu: [100, 23] },
      throttling: { periods: 1, throttled_periods: 2, throttled_time: 3 },
    },
    memory: {
      cache: 10,
      rss: 20,
      total_inactive_file: 7,
      pg_fault: 5,
      hierarchical_swap_limit: 99,
      usage: { limit: 8192, usage: 4096, max: 5000, failcnt: 0 },
    },
    memory_oom_control: { oom_kill_disable: 0, under_oom: 0, oom_kill: 1 },
  });
});

test("version 2 gets version 1's names and units", () => {
  const read = files({
    'pids/pids.current': '1\n',
    'pids/pids.max': '64\n',
    'cpu/cpu.stat':
      'usage_usec 1000\nuser_usec 600\nsystem_usec 400\nnr_periods 0\nnr_throttled 0\nthrottled_usec 5\n',
    'memory/memory.current': '4096\n',
    'memory/memory.max': 'max\n',
    'memory/memory.stat': 'anon 100\nfile 200\ninactive_file 50\nsock 1\n',
    'memory/memory.events': 'low 0\nmax 4\noom_kill 2\n',
  });
  assert.deepEqual(readMetrics(2, read), {
    pids: { current: 1, limit: 64 },
    cpu: {
      usage: { total: 1_000_000, kernel: 400_000, user: 600_000 },
      throttling: { periods: 0, throttled_periods: 0, throttled_time: 5000 },
    },
    memory: {
      rss: 100,
      total_rss: 100,
      cache: 200,
      total_cache: 200,
      inactive_file: 50,
      total_inactive_file: 50,
      hierarchical_memory_limit: 2 ** 64 - 2048,
      usage: { limit: 2 ** 64 - 2048, usage: 4096, failcnt: 4 },
      kernel_tcp: { usage: 1 },
    },
    memory_oom_control: { oom_kill: 2 },
  });
});

test('no limit is a number that Go takes as a u64', () => {
  const text = JSON.stringify(readMetrics(2, files({ 'memory/memory.max': 'max\n' })));
  const [, digits = ''] = /"limit":(\d+)/.exec(text) ?? [];
  assert.ok(BigInt(digits) < 2n ** 64n, digits);
});

test('a control group that is gone has no metrics', () => {
  assert.deepEqual(readMetrics(1, files({})), {});
  assert.deepEqual(readMetrics(2, files({})), {});
});
