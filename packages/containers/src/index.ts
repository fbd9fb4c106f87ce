export { type ContainerAnnotations, parseAnnotations } from './annotations.ts';
export { LinuxContainer, type LinuxContainerOptions } from './linux-container.ts';
