import type { HostComputeNetwork, SDNRoutePolicySetting } from '@hcsshim/schema/hcn';
import type { NetworkService } from '../network-service.ts';

/** What an implementation brings to be tested: a network service in which nothing else changes meanwhile. */
export interface NetworkContractHarness extends AsyncDisposable {
  readonly network: NetworkService;
  /** A name for an object of this harness: `name` with something that sets it apart from other runs. */
  name(name: string): string;
  /** A document for a network of a type that works here, with one IPv4 subnet and a default gateway. */
  document(name: string): HostComputeNetwork;
  /**
   * What a route object says, for endpoints of the first network that this harness gave a document for. Not every host
   * encapsulates, and some look whether the next hop is a neighbour.
   * @default with encapsulation, to a next hop elsewhere
   */
  readonly routeSetting?: SDNRoutePolicySetting;
}

export interface NetworkContractSubject {
  open(): Promise<NetworkContractHarness>;
  /** Why the suite cannot run here. */
  skip?: string | undefined;
  /** Promises that cannot be tested here, by their names, each with the reason. @default none */
  untested?: Readonly<Record<string, string>>;
  /**
   * Longest that one test may take, in milliseconds.
   * @default 30000
   */
  patience?: number;
}
