import type { EndpointPolicy, ModifyRequestType, NetworkPolicy } from '@hcsshim/schema/hcn';
import type { CallOptions, NetworkService } from './network-service.ts';

/** The request types that every version has. */
export type PolicyRequestType = Exclude<ModifyRequestType, 'Reset'>;

/** Throws HCN_E_POLICY_ALREADY_EXISTS, and HCN_E_INVALID_POLICY_TYPE for one that the network's type does not have. */
export async function addNetworkPolicies(
  { networks }: NetworkService,
  networkId: string,
  policies: NetworkPolicy[],
  options?: CallOptions,
): Promise<void> {
  const Settings = { Policies: policies };
  await networks.modify(networkId, { ResourceType: 'Policy', RequestType: 'Add', Settings }, options);
}

/** Throws HCN_E_POLICY_NOT_FOUND. */
export async function removeNetworkPolicies(
  { networks }: NetworkService,
  networkId: string,
  policies: NetworkPolicy[],
  options?: CallOptions,
): Promise<void> {
  const Settings = { Policies: policies };
  await networks.modify(networkId, { ResourceType: 'Policy', RequestType: 'Remove', Settings }, options);
}

/** Adds policies to an endpoint, removes them, or with `Update` puts them in the place of all that it has. */
export async function applyEndpointPolicies(
  { endpoints }: NetworkService,
  endpointId: string,
  requestType: PolicyRequestType,
  policies: EndpointPolicy[],
  options?: CallOptions,
): Promise<void> {
  const request = {
    ResourceType: 'Policy',
    RequestType: requestType,
    Settings: { Policies: policies },
  } as const;
  await endpoints.modify(endpointId, request, options);
}
