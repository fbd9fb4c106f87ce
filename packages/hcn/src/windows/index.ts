export type { HnsCall, HnsMethod } from './hns-call.ts';
export { createHnsClient, type HnsClient, type HnsNetworks, type HnsPolicyLists } from './hns-client.ts';
export { type HnsAttachment, type HnsEndpoints, hnsEndpointStates } from './hns-endpoints.ts';
export type { HnsManagementMacs } from './hns-management-macs.ts';
export type { HnsNamespaces } from './hns-namespaces.ts';
export { createWindowsNetworkService, type WindowsNetworkOptions } from './windows-network-service.ts';
