/** How a container ended, as `delete` tells containerd. */
export interface DeadTask {
  pid: number;
  exitStatus: number;
  exitedAt: Date;
}

/**
 * A `containerd.task.v2.DeleteResponse`, encoded by hand: `delete` runs after every container, and a protobuf
 * library would double its time.
 */
export function encodeDeleteResponse({ pid, exitStatus, exitedAt }: DeadTask): Uint8Array {
  const milliseconds = exitedAt.getTime();
  const seconds = Math.floor(milliseconds / 1000);
  const timestamp = [
    ...varintField(1, seconds),
    ...varintField(2, (milliseconds - seconds * 1000) * 1_000_000),
  ];
  return Uint8Array.from([
    ...varintField(1, pid),
    ...varintField(2, exitStatus),
    ...varint((3 << 3) | 2),
    ...varint(timestamp.length),
    ...timestamp,
  ]);
}

/** A field with the wire type of integers. Zero is the default and is not written. */
function varintField(number: number, value: number): number[] {
  return value === 0 ? [] : [...varint(number << 3), ...varint(value)];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}
