import { channel } from 'node:diagnostics_channel';

/** A stretch of work as published on the diagnostics channel `hcsshim:phase` when it has ended. */
export interface Phase {
  /** For example `qemu: boot to agent`. */
  name: string;
  /** What it was done to: an id or a path. */
  subject: string;
  /** `performance.now()` at its start, in milliseconds. */
  start: number;
  /** In milliseconds. */
  duration: number;
  failed: boolean;
}

export const phaseChannel = channel('hcsshim:phase');

/** Runs `work` and publishes how long it took. Costs nothing while nobody subscribes. */
export async function phase<T>(name: string, subject: string, work: () => Promise<T>): Promise<T> {
  if (!phaseChannel.hasSubscribers) return work();
  const start = performance.now();
  let failed = true;
  try {
    const result = await work();
    failed = false;
    return result;
  } finally {
    phaseChannel.publish({
      name,
      subject,
      start,
      duration: performance.now() - start,
      failed,
    } satisfies Phase);
  }
}
