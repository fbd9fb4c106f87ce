export type { BridgeLog, BridgeLogEntry } from './bridge-log.ts';
export {
  BridgeServer,
  type BridgeServerOptions,
  type GuestHandlers,
  type GuestRequestContext,
  linuxGuestCapabilities,
} from './bridge-server.ts';
export {
  encodeFrame,
  type Frame,
  FrameDecoder,
  frameHeaderSize,
  guestFrameLimit,
  hostFrameLimit,
} from './frame.ts';
export {
  type GuestCallOptions,
  GuestConnection,
  type GuestConnectionOptions,
  type ShutdownKind,
} from './guest-connection.ts';
export { GuestFailure } from './guest-failure.ts';
export { GuestPort, type HvListener, type HvSocket } from './hv-socket.ts';
