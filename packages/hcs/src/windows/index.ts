export { containerDocument, createContainer } from './container-document.ts';
export { type HotAttachServices, hotAttachEndpoint, hotDetachEndpoint } from './hot-attach-endpoint.ts';
export { createWindowsComputeService, type WindowsComputeServiceOptions } from './windows-compute-service.ts';
