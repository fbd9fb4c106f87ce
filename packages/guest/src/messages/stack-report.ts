/** A response has to fit into a frame of 64 KiB. In characters. */
const longestReport = 32 * 1024;

interface Report {
  javascriptStack?: { message?: string; stack?: string[] };
  libuv?: { type: string; is_active?: boolean; [detail: string]: unknown }[];
}

/** What the agent is doing, as text: its stack, what its event loop waits for, its memory. */
export function stackReport(): string {
  if (!process.report) return 'This Node has no diagnostic report';
  // Otherwise the addresses of sockets are looked up in DNS, which takes its time.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as Report;
  const { rss, heapUsed } = process.memoryUsage();
  const lines = [
    `agent ${process.pid}, up ${Math.round(process.uptime())} s, rss ${rss} bytes, heap ${heapUsed} bytes`,
    'stack:',
    ...(report.javascriptStack?.stack ?? []).map((frame) => `  ${frame}`),
    `pending: ${process.getActiveResourcesInfo().join(' ')}`,
    'event loop handles:',
    ...(report.libuv ?? [])
      .filter(({ is_active }) => is_active)
      .map(({ type, is_active: _active, ...details }) => `  ${type} ${JSON.stringify(details)}`),
  ];
  return lines.join('\n').slice(0, longestReport);
}
