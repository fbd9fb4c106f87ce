/**
 * The header of a packet between a virtio-vsock device and its driver (virtio 1.2, section 5.10.6), little-endian:
 *
 *      0         8         16        20        24      28    30  32     36         40        44
 *      src_cid   dst_cid   src_port  dst_port  length  type  op  flags  buf_alloc  fwd_cnt
 *      u64       u64       u32       u32       u32     u16  u16  u32    u32        u32
 */
export interface PacketHeader {
  readonly sourceCid: number;
  readonly destinationCid: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Bytes of payload that follow. */
  readonly length: number;
  readonly type: number;
  readonly operation: number;
  readonly flags: number;
  /** Bytes that the sender buffers for this connection. */
  readonly bufferSize: number;
  /** Bytes that the sender has taken out of its buffer since the connection began, modulo 2^32. */
  readonly forwarded: number;
}

export const packetHeaderSize = 44;

/** More than this in one packet is no packet of any driver (`VIRTIO_VSOCK_MAX_PKT_BUF_SIZE`). */
export const maxPayload = 64 << 10;

export const PacketType = { stream: 1 } as const;

export const PacketOperation = {
  request: 1,
  response: 2,
  reset: 3,
  shutdown: 4,
  data: 5,
  creditUpdate: 6,
  creditRequest: 7,
} as const;
export type PacketOperation = (typeof PacketOperation)[keyof typeof PacketOperation];

/** The flags of a shutdown: what its sender will not do any more. */
export const ShutdownFlag = { receive: 1, send: 2 } as const;

/** Reads a header from the first 44 bytes. */
export function decodePacketHeader(view: DataView): PacketHeader {
  return {
    sourceCid: readU64(view, 0),
    destinationCid: readU64(view, 8),
    sourcePort: view.getUint32(16, true),
    destinationPort: view.getUint32(20, true),
    length: view.getUint32(24, true),
    type: view.getUint16(28, true),
    operation: view.getUint16(30, true),
    flags: view.getUint32(32, true),
    bufferSize: view.getUint32(36, true),
    forwarded: view.getUint32(40, true),
  };
}

/** Writes a header into the first 44 bytes. */
export function encodePacketHeader(view: DataView, header: PacketHeader): void {
  writeU64(view, 0, header.sourceCid);
  writeU64(view, 8, header.destinationCid);
  view.setUint32(16, header.sourcePort, true);
  view.setUint32(20, header.destinationPort, true);
  view.setUint32(24, header.length, true);
  view.setUint16(28, header.type, true);
  view.setUint16(30, header.operation, true);
  view.setUint32(32, header.flags, true);
  view.setUint32(36, header.bufferSize, true);
  view.setUint32(40, header.forwarded, true);
}

/** Context ids have 32 bits that matter; a larger one is inexact here and equals no id in use. */
function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}

function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}
