/** More time than this in a period of the event loop is work, less is housekeeping. In milliseconds. */
const quiet = 10;

/**
 * Collects garbage once after each stretch of work, when nothing is going on: most shims do nothing for most
 * of their life, and V8 by itself never gives back what it does not have to. Needs `--expose-gc`, without it
 * nothing happens.
 *
 * @param period how often to look, in milliseconds
 */
export function collectWhenQuiet(collect = globalThis.gc, period = 2_000): void {
  if (!collect) return;
  let last = performance.eventLoopUtilization();
  let worked = true;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const active = now.active - last.active;
    last = now;
    if (active > quiet) {
      worked = true;
    } else if (worked) {
      worked = false;
      // The flavour that also returns empty pages to the system.
      collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
      last = performance.eventLoopUtilization();
    }
  };
  setInterval(look, period).unref();
}
