/** The bits of fields that are sent as numbers, and the numbers of words. Source: upstream's hcn. */
export const NetworkFlags = { EnableNonPersistent: 8, DisableHostPort: 1024, EnableIov: 8192 } as const;
export const SubnetFlags = { DoNotReserveGatewayAddress: 1 } as const;
export const EndpointFlags = { RemoteEndpoint: 1 } as const;
export const NatFlags = { LocalRoutedVip: 1, IPv6: 2 } as const;
export const LoadBalancerFlags = { DirectServerReturn: 1, IPv6: 2 } as const;
export const LoadBalancerPortMappingFlags = {
  InternalLoadBalancer: 1,
  LocalRoutedVip: 2,
  UseMux: 4,
  PreserveDip: 8,
} as const;
/** Whether connections of one client go to one endpoint. */
export const LoadBalancerDistribution = { None: 0, SourceIPProtocol: 1, SourceIP: 2 } as const;
/** IANA's protocol numbers. */
export const Protocol = { Any: 0, ICMPv4: 1, IGMP: 2, TCP: 6, UDP: 17, ICMPv6: 58 } as const;
export const QueryFlags = { Detailed: 1 } as const;
