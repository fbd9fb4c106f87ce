import type { SystemExit } from '@hcsshim/hcs';
import type { QmpEvent } from './qmp.ts';

/** What is known of a QEMU that has ended. */
export interface QemuEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** All events that QEMU sent and that say something about the end. */
  events: QmpEvent[];
  /** The end of what QEMU complained about. */
  errors: string;
  /** The end of what the guest's kernel wrote to its console. */
  console: string;
  /** We ended it. */
  terminated: boolean;
}

/** Events to be kept for {@link explainEnd}. */
export const telltaleEvents = new Set(['SHUTDOWN', 'GUEST_PANICKED']);

/** How and why a VM ended, in words. */
export function explainEnd(end: QemuEnd): SystemExit {
  const panic = /Kernel panic - not syncing: (.*)/.exec(end.console)?.[1]?.trim();
  if (panic !== undefined || end.events.some(({ event }) => event === 'GUEST_PANICKED')) {
    return { type: 'UnexpectedExit', reason: `the guest kernel panicked${panic ? `: ${panic}` : ''}` };
  }
  if (end.terminated) return { type: 'ForcedExit', reason: 'it was terminated' };
  const shutdown = end.events.find(({ event }) => event === 'SHUTDOWN')?.data.reason;
  if (shutdown === 'guest-shutdown') return { type: 'GracefulExit', reason: 'the guest powered off' };
  if (shutdown === 'guest-reset') return { type: 'GracefulExit', reason: 'the guest asked for a reset' };
  const complaint = end.errors.trim() === '' ? '' : `: ${end.errors.trim()}`;
  if (end.signal !== null) {
    return { type: 'UnexpectedExit', reason: `QEMU was killed by signal ${end.signal}${complaint}` };
  }
  if (shutdown === 'host-signal') {
    return { type: 'UnexpectedExit', reason: `QEMU was told to end by a signal${complaint}` };
  }
  return { type: 'UnexpectedExit', reason: `QEMU ended with exit code ${end.exitCode}${complaint}` };
}
