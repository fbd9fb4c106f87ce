import { type ComputeEvent, ComputeEventType } from '@hcsshim/windows';
import type { SystemEvent, SystemEventType } from '../system-event.ts';

const types: Readonly<Record<number, SystemEventType>> = {
  [ComputeEventType.SystemCrashInitiated]: 'CrashInitiated',
  [ComputeEventType.SystemCrashReport]: 'CrashReport',
  [ComputeEventType.SystemRdpEnhancedModeStateChanged]: 'RdpEnhancedModeStateChanged',
  [ComputeEventType.SystemSiloJobCreated]: 'SiloJobCreated',
  [ComputeEventType.SystemGuestConnectionClosed]: 'GuestConnectionClosed',
};

/** An event as the port tells it; undefined for the two that end a wait. */
export function systemEvent({ type, data }: Pick<ComputeEvent, 'type' | 'data'>): SystemEvent | undefined {
  if (type === ComputeEventType.SystemExited || type === ComputeEventType.ServiceDisconnect) return undefined;
  return { type: types[type] ?? 'Unknown', code: type, data: parse(data) };
}

function parse(data: string | null): unknown {
  if (data === null || data === '') return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
