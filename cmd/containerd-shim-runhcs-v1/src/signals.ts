import { TtrpcError } from '@hcsshim/ttrpc';

export const SIGKILL = 9;

/** Numbers behind the 34 signal names that upstream knows for Linux guests (`internal/signals/signalmap.go`). */
const highestKnown = 31;

/** Throws `FailedPrecondition` for a number that stands for no signal of a Linux guest. */
export function requireKnownSignal(signal: number): void {
  if (signal >= 1 && signal <= highestKnown) return;
  throw new TtrpcError(
    'FailedPrecondition',
    `Cannot send signal ${signal}: it is unknown, it must be a number from 1 to ${highestKnown}`,
  );
}
