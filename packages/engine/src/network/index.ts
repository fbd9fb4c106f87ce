/** The Host Compute Network for Linux: the door `@hcsshim/engine/network`. */
export { createLinuxNetworkService, type LinuxNetworkServiceOptions } from './linux-network-service.ts';
export { networkNamespacePath } from './namespaces.ts';
