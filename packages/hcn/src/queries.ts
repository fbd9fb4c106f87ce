import { HcsError } from '@hcsshim/schema';
import type { HostComputeEndpoint, HostComputeNetwork, HostComputeQuery } from '@hcsshim/schema/hcn';
import type { CallOptions, NetworkObjects, NetworkService, Stored } from './network-service.ts';

/** The schema of the documents of this package. */
export const schemaVersion = { Major: 2, Minor: 0 } as const;

/** A query for the objects whose fields have these values. */
export function queryFor(fields: Readonly<Record<string, string>>): HostComputeQuery {
  return { SchemaVersion: schemaVersion, Flags: 0, Filter: JSON.stringify(fields) };
}

/** The network with this name. Throws HCN_E_NETWORK_NOT_FOUND. */
export async function networkByName(
  { networks }: NetworkService,
  name: string,
  options?: CallOptions,
): Promise<Stored<HostComputeNetwork>> {
  const network = await byName(networks, name, options);
  if (network !== undefined) return network;
  throw new HcsError({
    action: `Cannot find network "${name}"`,
    problem: 'no network has this name',
    code: 'HCN_E_NETWORK_NOT_FOUND',
  });
}

/** An endpoint with this name. Names of endpoints need not be unique. Throws HCN_E_ENDPOINT_NOT_FOUND. */
export async function endpointByName(
  { endpoints }: NetworkService,
  name: string,
  options?: CallOptions,
): Promise<Stored<HostComputeEndpoint>> {
  const endpoint = await byName(endpoints, name, options);
  if (endpoint !== undefined) return endpoint;
  throw new HcsError({
    action: `Cannot find endpoint "${name}"`,
    problem: 'no endpoint has this name',
    code: 'HCN_E_ENDPOINT_NOT_FOUND',
  });
}

export function endpointsOfNetwork(
  { endpoints }: NetworkService,
  networkId: string,
  options?: CallOptions,
): Promise<Stored<HostComputeEndpoint>[]> {
  return endpoints.enumerate(queryFor({ HostComputeNetwork: networkId }), options);
}

async function byName<Document extends { Name?: string }>(
  objects: NetworkObjects<Document>,
  name: string,
  options: CallOptions | undefined,
): Promise<Stored<Document> | undefined> {
  const [first] = await objects.enumerate(queryFor({ Name: name }), options);
  return first;
}
