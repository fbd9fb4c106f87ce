import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { type Metrics, MetricsSchema } from './generated/containerd/cgroups/v1/metrics_pb.ts';

const largestUint64 = 18446744073709551615n;

/**
 * The guest's cgroup metrics, which come as JSON with the field names of `io.containerd.cgroups.v1.Metrics`,
 * as that message: what `ctr task metrics` and CRI understand on Linux.
 */
export function metricsFromJson(json: unknown): Metrics {
  const metrics = fromJson(MetricsSchema, withSafeNumbers(json ?? {}) as JsonValue, {
    ignoreUnknownFields: true,
  });
  // containerd's readers look into these without asking whether they are there.
  const empty = metricsWithEntries();
  if (metrics.memory) metrics.memory.usage ??= empty.memory?.usage as never;
  if (metrics.cpu) metrics.cpu.usage ??= empty.cpu?.usage as never;
  return metrics;
}

function metricsWithEntries(): Metrics {
  return fromJson(MetricsSchema, { memory: { usage: {} }, cpu: { usage: {} } });
}

/** All numbers here are unsigned with 64 bits, "unlimited" is near their end; JSON's numbers round that up. */
function withSafeNumbers(value: unknown): unknown {
  if (typeof value === 'number') {
    const integer = BigInt(Math.trunc(Math.max(0, value)));
    return String(integer > largestUint64 ? largestUint64 : integer);
  }
  if (Array.isArray(value)) return value.map(withSafeNumbers);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, field]) => field !== null)
        .map(([name, field]) => [name, withSafeNumbers(field)]),
    );
  }
  return value;
}
