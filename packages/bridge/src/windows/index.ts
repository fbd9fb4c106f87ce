export { HyperVId } from './hyper-v-address.ts';
export { createWindowsHvSocket, type WindowsHvSocketOptions } from './windows-hv-socket.ts';
