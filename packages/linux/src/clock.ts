import { checked, libc } from './libc.ts';

const CLOCK_REALTIME = 0;

/** Sets the wall clock. @param time Milliseconds since 1970, as from `Date.now()`. */
export function setClock(time: number): void {
  const seconds = Math.floor(time / 1000);
  const timespec = new BigInt64Array([BigInt(seconds), BigInt(Math.round((time - seconds * 1000) * 1e6))]);
  checked(
    libc().clock_settime(CLOCK_REALTIME, timespec),
    'clock_settime',
    `set the clock to ${new Date(time).toISOString()}`,
  );
}
