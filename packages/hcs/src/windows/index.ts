export { type ContainerDocument, containerDocument, createContainer } from './container-document.ts';
export { createWindowsComputeService } from './windows-compute-service.ts';
