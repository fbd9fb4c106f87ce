import { bind } from './bind.ts';
import { computenetwork } from './dlls/computenetwork.ts';
import { guidFromBytes } from './guid.ts';
import { koffi } from './koffi.ts';

/** `HCN_PORT_PROTOCOL` (computenetwork.h). */
export const PortProtocol = { Tcp: 1, Udp: 2, Both: 3 } as const;
/** `HCN_PORT_ACCESS` (computenetwork.h). */
export const PortAccess = { Exclusive: 1, Shared: 2 } as const;

/** Ports that a guest network service, or another partition, has for itself (`HCN_PORT_RANGE_ENTRY`). */
export interface PortReservation {
  /** GUID. */
  owningPartition: string;
  /** GUID. */
  targetPartition: string;
  /** {@link PortProtocol} */
  protocol: number;
  reservationType: number;
  sharingFlags: number;
  deliveryMode: number;
  firstPort: number;
  lastPort: number;
}

/** Two GUIDs; protocol; priority, on a boundary of 8; type, sharing, delivery; first and last port. */
const entryBytes = 64;
/** Each entry has a port at least. */
const maxEntries = 2 * 65_536;

/** Lists the ports that are reserved. The DLL's list is freed, whatever is in it. */
export async function listPortReservations(): Promise<PortReservation[]> {
  const { HcnEnumerateGuestNetworkPortReservations, HcnFreeGuestNetworkPortReservations } =
    bind(computenetwork);
  const { count, portEntries } = await HcnEnumerateGuestNetworkPortReservations({});
  if (portEntries === 0n) return [];
  try {
    if (count > maxEntries)
      throw new RangeError(`Cannot list port reservations: ${count} are more than there are ports`);
    return Array.from({ length: count }, (_, index) => readEntry(portEntries + BigInt(index * entryBytes)));
  } finally {
    HcnFreeGuestNetworkPortReservations({ portEntries });
  }
}

function readEntry(address: bigint): PortReservation {
  const { uint64 } = koffi().decode;
  const bytes = Buffer.alloc(entryBytes);
  for (let offset = 0; offset < entryBytes; offset += 8)
    bytes.writeBigUInt64LE(BigInt(uint64(address + BigInt(offset))), offset);
  return {
    owningPartition: guidFromBytes(bytes.subarray(0, 16)),
    targetPartition: guidFromBytes(bytes.subarray(16, 32)),
    protocol: bytes.readUInt32LE(32),
    reservationType: bytes.readUInt32LE(48),
    sharingFlags: bytes.readUInt32LE(52),
    deliveryMode: bytes.readUInt32LE(56),
    firstPort: bytes.readUInt16LE(60),
    lastPort: bytes.readUInt16LE(62),
  };
}
