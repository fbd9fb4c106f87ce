export { GuestPort, type HvListener, type HvSocket } from './hv-socket.ts';
