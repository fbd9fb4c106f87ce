import type { ContainerMetrics } from '@hcsshim/schema';
import type { CgroupReader } from './cgroup-mounts.ts';

/**
 * "No limit" of version 2. Containerd says the largest u64; this is the largest double below it, because Go's decoder
 * takes nothing above.
 */
const noLimit = 2 ** 64 - 2 ** 11;

const nanosecondsPerMicrosecond = 1000;
/** `USER_HZ` of the kernel's interface, the same on every Linux architecture that matters here. */
const nanosecondsPerTick = 10_000_000;

/** Memory counters of version 1's `memory.stat` that are reported under the same name. */
const memoryCountersV1 = [
  'cache',
  'rss',
  'rss_huge',
  'mapped_file',
  'dirty',
  'writeback',
  'inactive_anon',
  'active_anon',
  'inactive_file',
  'active_file',
  'unevictable',
  'hierarchical_memory_limit',
  'total_cache',
  'total_rss',
  'total_rss_huge',
  'total_mapped_file',
  'total_dirty',
  'total_writeback',
  'total_inactive_anon',
  'total_active_anon',
  'total_inactive_file',
  'total_active_file',
  'total_unevictable',
];

/** Counters whose kernel name differs from containerd's. */
const renamedMemoryCountersV1: Record<string, string> = {
  pgpgin: 'pg_pg_in',
  pgpgout: 'pg_pg_out',
  pgfault: 'pg_fault',
  pgmajfault: 'pg_maj_fault',
  hierarchical_memsw_limit: 'hierarchical_swap_limit',
  total_pgpgin: 'total_pg_pg_in',
  total_pgpgout: 'total_pg_pg_out',
  total_pgfault: 'total_pg_fault',
  total_pgmajfault: 'total_pg_maj_fault',
};

/** Version 2's `memory.stat` → version 1's names, as upstream's `internal/guest/cgroup/convert.go`. */
const memoryCountersV2: Record<string, string[]> = {
  anon: ['rss', 'total_rss'],
  file: ['cache', 'total_cache'],
  file_mapped: ['mapped_file'],
  file_dirty: ['dirty'],
  file_writeback: ['writeback'],
  pgfault: ['pg_fault'],
  pgmajfault: ['pg_maj_fault'],
  inactive_anon: ['inactive_anon'],
  active_anon: ['active_anon'],
  inactive_file: ['inactive_file', 'total_inactive_file'],
  active_file: ['active_file', 'total_active_file'],
  unevictable: ['unevictable'],
};

/**
 * What a control group has used, in the form of containerd's cgroup v1 `Metrics` whatever the version is:
 * bytes, and nanoseconds of processor time. A controller that is not there is left out.
 */
export function readMetrics(version: 1 | 2, read: CgroupReader): ContainerMetrics {
  const metrics = version === 1 ? metricsV1(read) : metricsV2(read);
  return withoutAbsent(metrics) as ContainerMetrics;
}

function metricsV1(read: CgroupReader): object {
  const memory = counters(read('memory', 'memory.stat'));
  const ticks = counters(read('cpuacct', 'cpuacct.stat'));
  const throttling = counters(read('cpu', 'cpu.stat'));
  const oom = counters(read('memory', 'memory.oom_control'));
  const entry = (prefix: string): object | undefined =>
    present({
      limit: value(read('memory', `${prefix}.limit_in_bytes`)),
      usage: value(read('memory', `${prefix}.usage_in_bytes`)),
      max: value(read('memory', `${prefix}.max_usage_in_bytes`)),
      failcnt: value(read('memory', `${prefix}.failcnt`)),
    });
  return {
    pids: pids(read),
    cpu: present({
      usage: present({
        total: value(read('cpuacct', 'cpuacct.usage')),
        kernel: scaled(ticks.system, nanosecondsPerTick),
        user: scaled(ticks.user, nanosecondsPerTick),
        per_cpu: read('cpuacct', 'cpuacct.usage_percpu')?.trim().split(/\s+/).map(Number),
      }),
      throttling: present({
        periods: throttling.nr_periods,
        throttled_periods: throttling.nr_throttled,
        throttled_time: throttling.throttled_time,
      }),
    }),
    memory: present({
      ...Object.fromEntries(memoryCountersV1.map((name) => [name, memory[name]])),
      ...Object.fromEntries(
        Object.entries(renamedMemoryCountersV1).map(([kernel, name]) => [name, memory[kernel]]),
      ),
      usage: entry('memory'),
      swap: entry('memory.memsw'),
      kernel: entry('memory.kmem'),
      kernel_tcp: entry('memory.kmem.tcp'),
    }),
    memory_oom_control: present({
      oom_kill_disable: oom.oom_kill_disable,
      under_oom: oom.under_oom,
      oom_kill: oom.oom_kill,
    }),
  };
}

function metricsV2(read: CgroupReader): object {
  const memory = counters(read('memory', 'memory.stat'));
  const cpu = counters(read('cpu', 'cpu.stat'));
  const events = counters(read('memory', 'memory.events'));
  const limit = value(read('memory', 'memory.max'));
  const renamed = Object.entries(memoryCountersV2).flatMap(([kernel, names]) =>
    names.map((name) => [name, memory[kernel]]),
  );
  return {
    pids: pids(read),
    cpu: present({
      usage: present({
        total: scaled(cpu.usage_usec, nanosecondsPerMicrosecond),
        kernel: scaled(cpu.system_usec, nanosecondsPerMicrosecond),
        user: scaled(cpu.user_usec, nanosecondsPerMicrosecond),
      }),
      throttling: present({
        periods: cpu.nr_periods,
        throttled_periods: cpu.nr_throttled,
        throttled_time: scaled(cpu.throttled_usec, nanosecondsPerMicrosecond),
      }),
    }),
    memory: present({
      ...Object.fromEntries(renamed),
      hierarchical_memory_limit: limit,
      usage: present({
        limit,
        usage: value(read('memory', 'memory.current')),
        max: value(read('memory', 'memory.peak')),
        failcnt: events.max,
      }),
      swap: present({
        limit: value(read('memory', 'memory.swap.max')),
        usage: value(read('memory', 'memory.swap.current')),
      }),
      kernel: present({ usage: memory.kernel_stack }),
      kernel_tcp: present({ usage: memory.sock }),
    }),
    memory_oom_control: present({ oom_kill: events.oom_kill }),
  };
}

function pids(read: CgroupReader): object | undefined {
  const limit = read('pids', 'pids.max');
  return present({
    current: value(read('pids', 'pids.current')),
    // Zero is "no limit" here, in both versions.
    limit: limit === undefined ? undefined : limit.trim() === 'max' ? 0 : value(limit),
  });
}

/** Lines of `name number`. */
function counters(text: string | undefined): Record<string, number | undefined> {
  const result: Record<string, number> = {};
  for (const line of (text ?? '').split('\n')) {
    const [name, number] = line.split(' ');
    if (name && number) result[name] = Number(number);
  }
  return result;
}

function value(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return text.trim() === 'max' ? noLimit : Number(text);
}

function scaled(number: number | undefined, factor: number): number | undefined {
  return number === undefined ? undefined : number * factor;
}

/** The object, or undefined when none of its fields is known. */
function present(fields: Record<string, unknown>): object | undefined {
  return Object.values(fields).some((field) => field !== undefined) ? fields : undefined;
}

function withoutAbsent(document: object): object {
  return Object.fromEntries(
    Object.entries(document)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [
        name,
        typeof field === 'object' && !Array.isArray(field) ? withoutAbsent(field) : field,
      ]),
  );
}
