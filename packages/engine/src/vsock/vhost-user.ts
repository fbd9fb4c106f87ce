import { DeviceFault } from './device-fault.ts';

/**
 * Messages of the vhost-user protocol from a monitor (QEMU, the front-end) to a device (the back-end), as far as a
 * vsock device needs them. Source: QEMU's `docs/interop/vhost-user.rst`. Little-endian:
 *
 *     0        4      8     12
 *     request  flags  size  payload …
 *
 *     flags: bits 0-1 version (1), bit 2 reply, bit 3 an acknowledgement is wanted
 */
export const messageHeaderSize = 12;

/** Far above the largest message here (a table of 8 regions has 264 bytes). */
export const maxMessagePayload = 4096;

const versionMask = 3;
const version = 1;
const replyFlag = 1 << 2;
const needReplyFlag = 1 << 3;
const maxRegions = 8;
/** In the first byte of a message about a ring's descriptor: the ring. Bit 8: there is no descriptor. */
const ringMask = 0xffn;
const noFdFlag = 1n << 8n;

/** Feature bits of the device itself. */
export const Feature = { protocolFeatures: 1n << 30n, version1: 1n << 32n } as const;
/** Feature bits of the protocol. */
export const ProtocolFeature = { replyAck: 1n << 3n, config: 1n << 9n } as const;

export interface MemoryRegion {
  readonly guestAddress: number;
  readonly size: number;
  readonly userAddress: number;
  /** Where the region begins in its file. */
  readonly offset: number;
}

export interface RingAddresses {
  readonly descriptors: number;
  readonly used: number;
  readonly available: number;
}

export type VhostUserRequest =
  | { readonly kind: 'get-features' }
  | { readonly kind: 'set-features'; readonly features: bigint }
  | { readonly kind: 'set-owner' }
  | { readonly kind: 'reset-owner' }
  | { readonly kind: 'set-memory-table'; readonly regions: readonly MemoryRegion[] }
  | { readonly kind: 'set-ring-size'; readonly ring: number; readonly size: number }
  | { readonly kind: 'set-ring-addresses'; readonly ring: number; readonly addresses: RingAddresses }
  | { readonly kind: 'set-ring-base'; readonly ring: number; readonly base: number }
  | { readonly kind: 'get-ring-base'; readonly ring: number }
  | { readonly kind: 'set-ring-kick'; readonly ring: number; readonly hasFd: boolean }
  | { readonly kind: 'set-ring-call'; readonly ring: number; readonly hasFd: boolean }
  | { readonly kind: 'set-ring-error'; readonly ring: number; readonly hasFd: boolean }
  | { readonly kind: 'get-protocol-features' }
  | { readonly kind: 'set-protocol-features'; readonly features: bigint }
  | { readonly kind: 'get-queue-count' }
  | { readonly kind: 'set-ring-enabled'; readonly ring: number; readonly enabled: boolean }
  | { readonly kind: 'get-config'; readonly offset: number; readonly size: number };

interface RequestFormat {
  /** Bytes of payload at least. */
  readonly size: number;
  readonly decode: (payload: DataView) => VhostUserRequest;
}

/** By request number. */
const formats: Readonly<Record<number, RequestFormat>> = {
  1: { size: 0, decode: () => ({ kind: 'get-features' }) },
  2: { size: 8, decode: (view) => ({ kind: 'set-features', features: view.getBigUint64(0, true) }) },
  3: { size: 0, decode: () => ({ kind: 'set-owner' }) },
  4: { size: 0, decode: () => ({ kind: 'reset-owner' }) },
  5: { size: 8, decode: (view) => ({ kind: 'set-memory-table', regions: decodeRegions(view) }) },
  8: { size: 8, decode: (view) => ({ kind: 'set-ring-size', ring: ringOf(view), size: stateOf(view) }) },
  9: {
    size: 40,
    decode: (view) => ({
      kind: 'set-ring-addresses',
      ring: ringOf(view),
      addresses: { descriptors: address(view, 8), used: address(view, 16), available: address(view, 24) },
    }),
  },
  10: { size: 8, decode: (view) => ({ kind: 'set-ring-base', ring: ringOf(view), base: stateOf(view) }) },
  11: { size: 8, decode: (view) => ({ kind: 'get-ring-base', ring: ringOf(view) }) },
  12: { size: 8, decode: (view) => ({ kind: 'set-ring-kick', ...ringFdOf(view) }) },
  13: { size: 8, decode: (view) => ({ kind: 'set-ring-call', ...ringFdOf(view) }) },
  14: { size: 8, decode: (view) => ({ kind: 'set-ring-error', ...ringFdOf(view) }) },
  15: { size: 0, decode: () => ({ kind: 'get-protocol-features' }) },
  16: {
    size: 8,
    decode: (view) => ({ kind: 'set-protocol-features', features: view.getBigUint64(0, true) }),
  },
  17: { size: 0, decode: () => ({ kind: 'get-queue-count' }) },
  18: {
    size: 8,
    decode: (view) => ({ kind: 'set-ring-enabled', ring: ringOf(view), enabled: stateOf(view) !== 0 }),
  },
  24: {
    size: 12,
    decode: (view) => ({
      kind: 'get-config',
      offset: view.getUint32(0, true),
      size: view.getUint32(4, true),
    }),
  },
};

export interface MessageHeader {
  readonly request: number;
  readonly size: number;
  readonly needsReply: boolean;
}

/** Reads the first 12 bytes. A size over the limit is a fault before anything is allocated. */
export function decodeMessageHeader(bytes: Uint8Array): MessageHeader {
  const view = viewOf(bytes);
  const flags = view.getUint32(4, true);
  const size = view.getUint32(8, true);
  if ((flags & versionMask) !== version || flags & replyFlag) {
    throw new DeviceFault(`The monitor sent a vhost-user message with flags 0x${flags.toString(16)}`);
  }
  if (size > maxMessagePayload)
    throw new DeviceFault(`The monitor sent a vhost-user message of ${size} bytes`);
  return { request: view.getUint32(0, true), size, needsReply: (flags & needReplyFlag) !== 0 };
}

/** Undefined for a request that this device does not know. */
export function decodeRequest(request: number, payload: Uint8Array): VhostUserRequest | undefined {
  const format = formats[request];
  if (format === undefined) return undefined;
  if (payload.length < format.size) {
    throw new DeviceFault(
      `The monitor sent ${payload.length} bytes with vhost-user request ${request}, which has ${format.size}`,
    );
  }
  return format.decode(viewOf(payload));
}

/** A reply to `request`. */
export function encodeReply(request: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(messageHeaderSize + payload.length);
  const view = viewOf(bytes);
  view.setUint32(0, request, true);
  view.setUint32(4, version | replyFlag, true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, messageHeaderSize);
  return bytes;
}

/** Payload of a reply that is one number: features, a count, an acknowledgement (0 is success). */
export function encodeNumber(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigUint64(0, value, true);
  return bytes;
}

/** Payload of the reply to get-ring-base. */
export function encodeRingState(ring: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setUint32(0, ring, true);
  viewOf(bytes).setUint32(4, value, true);
  return bytes;
}

/** Payload of the reply to get-config: offset, size, flags, then that part of the device's configuration. */
export function encodeConfig(offset: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + content.length);
  viewOf(bytes).setUint32(0, offset, true);
  viewOf(bytes).setUint32(4, content.length, true);
  bytes.set(content, 12);
  return bytes;
}

/**
 * A table of memory: count, padding, then for each region
 *
 *     0              8     16            24           32
 *     guest address  size  user address  file offset
 */
function decodeRegions(view: DataView): MemoryRegion[] {
  const count = view.getUint32(0, true);
  if (count === 0 || count > maxRegions || view.byteLength < 8 + count * 32) {
    throw new DeviceFault(`The monitor sent a memory table of ${count} regions in ${view.byteLength} bytes`);
  }
  return Array.from({ length: count }, (_, index) => {
    const at = 8 + index * 32;
    return {
      guestAddress: address(view, at),
      size: address(view, at + 8),
      userAddress: address(view, at + 16),
      offset: address(view, at + 24),
    };
  });
}

function ringOf(view: DataView): number {
  return view.getUint32(0, true);
}

function stateOf(view: DataView): number {
  return view.getUint32(4, true);
}

function ringFdOf(view: DataView): { ring: number; hasFd: boolean } {
  const value = view.getBigUint64(0, true);
  return { ring: Number(value & ringMask), hasFd: (value & noFdFlag) === 0n };
}

function address(view: DataView, offset: number): number {
  const value = view.getBigUint64(offset, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new DeviceFault(`The monitor sent the address or size 0x${value.toString(16)}`);
  }
  return Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
