export { VhostUserVsock } from './device.ts';
