/**
 * Addresses of AF_HYPERV (hvsocket.h): a VM and a service, each by GUID.
 *
 *     offset  0      2          4       20          36
 *             Family Reserved   VmId    ServiceId
 *             34     0
 */
import { HcsError } from '@hcsshim/schema';
import { guidToBytes } from '@hcsshim/windows';

/** `AF_HYPERV` and `HV_PROTOCOL_RAW`. */
export const hyperVFamily = 34;
export const rawProtocol = 1;

const addressBytes = 36;

/** GUIDs that stand for no one VM (`HV_GUID_*` of hvsocket.h; Microsoft's "Make your own integration services"). */
export const HyperVId = {
  /** Listen for every partition. Binding to it is what Microsoft advises against: any VM may connect. */
  wildcard: '00000000-0000-0000-0000-000000000000',
  /** Listen for the VMs and containers that this partition hosts. */
  children: '90db8b89-0d35-4f79-8ce9-49ea0ac8b7cd',
  /** This partition itself. */
  loopback: 'e0e16197-dd56-4a10-9195-5ee7a155a838',
  /** From within a VM or container: its host. */
  parent: 'a42e7cda-d03f-480c-9cc2-a4de20abb878',
} as const;

/** What the services of vsock ports look like (`HV_GUID_VSOCK_TEMPLATE`); a port takes the place of the first field. */
const vsockTemplate = '00000000-facb-11e6-bd58-64006a7986d3';

/** `VMADDR_PORT_ANY` of vsock is the last, and no port. */
const highestPort = 0xfffffffe;

/** The service id of a vsock port, lower case. */
function serviceIdOfPort(port: number): string {
  return port.toString(16).padStart(8, '0') + vsockTemplate.slice(8);
}

/**
 * A `SOCKADDR_HV`. Throws E_INVALIDARG for what is no GUID or no port.
 *
 * @param action Begins with "Cannot".
 */
export function hyperVAddress(action: string, vmId: string, port: number): Buffer {
  if (!Number.isInteger(port) || port < 0 || port > highestPort) {
    throw new HcsError({
      action,
      problem: `${port} is no port, use a whole number from 0 to ${highestPort}`,
      code: 'E_INVALIDARG',
    });
  }
  const address = Buffer.alloc(addressBytes);
  address.writeUInt16LE(hyperVFamily, 0);
  address.set(guidBytes(action, vmId), 4);
  address.set(guidToBytes(serviceIdOfPort(port)), 20);
  return address;
}

function guidBytes(action: string, vmId: string): Buffer {
  try {
    return guidToBytes(vmId);
  } catch (cause) {
    throw new HcsError({
      action,
      problem: 'the id of a VM is a GUID such as 01234567-89ab-cdef-0123-456789abcdef',
      code: 'E_INVALIDARG',
      cause,
    });
  }
}
