/**
 * What a system tells besides its end. Which of them come depends on the platform and on the document: crash
 * reports, for instance, on the device `GuestCrashReporting`. Source: `HCS_EVENT_TYPE` of computedefs.h.
 */
export type SystemEventType =
  | 'CrashInitiated'
  | 'CrashReport'
  | 'RdpEnhancedModeStateChanged'
  | 'SiloJobCreated'
  | 'GuestConnectionClosed'
  /** One that is not known here; see `code`. */
  | 'Unknown';

export interface SystemEvent {
  type: SystemEventType;
  /** The platform's number for it. */
  code: number;
  /** Its document, for example a `CrashReport`; the text itself where that is no JSON; undefined without one. */
  data: unknown;
}
