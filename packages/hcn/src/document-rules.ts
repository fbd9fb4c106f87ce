import { HcsError, type HResultName } from '@hcsshim/schema';
import type { HostComputeEndpoint, HostComputeNetwork, HostComputeRoute } from '@hcsshim/schema/hcn';

/**
 * What a schema cannot say of a document for a new object: each function gives what is wrong, in words, or
 * undefined. Sources: upstream's hcn, the `Create` methods of its objects.
 */
export interface RuleBreach {
  problem: string;
  code: HResultName;
}

const defaultRoutes: ReadonlySet<unknown> = new Set(['0.0.0.0/0', '::/0']);

/** A subnet with addresses needs routes with next hops, one of them the default route. */
export function faultOfNetwork({ Ipams }: HostComputeNetwork): RuleBreach | undefined {
  const subnets = (Ipams ?? []).flatMap(({ Subnets }) => Subnets ?? []);
  for (const { IpAddressPrefix, Routes } of subnets) {
    if (!IpAddressPrefix) continue;
    const breach = (problem: string): RuleBreach => ({
      problem: `subnet "${IpAddressPrefix}" ${problem}`,
      code: 'HCN_E_INVALID_SUBNET',
    });
    const routes = Routes ?? [];
    if (routes.some(({ NextHop }) => !NextHop)) return breach('has a route without a "NextHop"');
    if (!routes.some(({ DestinationPrefix }) => defaultRoutes.has(DestinationPrefix)))
      return breach('has no default gateway, give it a route to "0.0.0.0/0" or "::/0"');
  }
  return undefined;
}

export function faultOfEndpoint(document: HostComputeEndpoint): RuleBreach | undefined {
  if (document.HostComputeNamespace)
    return {
      problem: 'field "HostComputeNamespace" is read-only, attach the endpoint to the namespace afterwards',
      code: 'HCN_E_INVALID_ENDPOINT',
    };
  if (!document.HostComputeNetwork)
    return {
      problem: 'field "HostComputeNetwork" must name its network',
      code: 'HCN_E_INVALID_ENDPOINT',
    };
  return undefined;
}

export function faultOfRoute({ HostComputeEndpoints }: HostComputeRoute): RuleBreach | undefined {
  if ((HostComputeEndpoints ?? []).length > 0) return undefined;
  return { problem: 'field "HostComputeEndpoints" must name an endpoint', code: 'E_INVALIDARG' };
}

export function assertKeepsRule(action: string, breach: RuleBreach | undefined): void {
  if (breach !== undefined) throw new HcsError({ action, ...breach });
}
