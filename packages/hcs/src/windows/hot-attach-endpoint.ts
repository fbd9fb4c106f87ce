import { HcsError, isNotSupported } from '@hcsshim/schema';
import type { RequestType } from '@hcsshim/schema/hcs-v1';
import type { CallOptions, ComputeService } from '../compute-service.ts';

/** What is needed of the two services. */
export interface HotAttachServices {
  compute: ComputeService;
  /** Tells whether a container uses an endpoint: the endpoints of the Host Networking Service. */
  endpoints: { isAttached(endpointId: string, containerId: string, options?: CallOptions): Promise<boolean> };
}

/**
 * Attaches an endpoint of the Host Networking Service to a container that runs; one that is attached already is left
 * alone. Throws HCN_E_ENDPOINT_NOT_FOUND, HCS_E_SYSTEM_NOT_FOUND, ERROR_NOT_SUPPORTED.
 */
export async function hotAttachEndpoint(
  services: HotAttachServices,
  containerId: string,
  endpointId: string,
  options: CallOptions = {},
): Promise<void> {
  if (await services.endpoints.isAttached(endpointId, containerId, options)) return;
  await changeEndpoint(services.compute, containerId, endpointId, 'Add', options);
}

/** The reverse of {@link hotAttachEndpoint}; an endpoint that is not attached is left alone. */
export async function hotDetachEndpoint(
  services: HotAttachServices,
  containerId: string,
  endpointId: string,
  options: CallOptions = {},
): Promise<void> {
  if (!(await services.endpoints.isAttached(endpointId, containerId, options))) return;
  await changeEndpoint(services.compute, containerId, endpointId, 'Remove', options);
}

async function changeEndpoint(
  compute: ComputeService,
  containerId: string,
  endpointId: string,
  type: RequestType,
  options: CallOptions,
): Promise<void> {
  await using container = await compute.open(containerId, options);
  try {
    await container.modify({ ResourceType: 'Network', RequestType: type, Settings: endpointId }, options);
  } catch (cause) {
    // The service has several codes for what it does not know.
    if (!isNotSupported(cause)) throw cause;
    throw new HcsError({
      action: `Cannot ${type === 'Add' ? 'attach' : 'detach'} endpoint "${endpointId}" ${type === 'Add' ? 'to' : 'from'} container "${containerId}"`,
      problem: 'this container, or its Windows, cannot change its networks while it exists',
      code: 'ERROR_NOT_SUPPORTED',
      cause,
    });
  }
}
