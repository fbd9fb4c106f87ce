import { checked, libc, retryInterrupted } from './libc.ts';

// sys/eventfd.h
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

const one = new BigUint64Array([1n]);
const drained = new BigUint64Array(1);

/** A new eventfd with counter 0, non-blocking and close-on-exec. */
export function createEventFd(): number {
  return checked(libc().eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 'eventfd', 'create an eventfd');
}

/** Adds one to the counter. A counter that is full says the same already, so that is no error. */
export function signalEventFd(fd: number): void {
  retryInterrupted(() => libc().write(fd, one, 8n));
}

/** Sets the counter back to 0 and returns what it was. The descriptor must be non-blocking. */
export function drainEventFd(fd: number): bigint {
  return retryInterrupted(() => libc().read(fd, drained, 8n)) === 8n ? drained[0]! : 0n;
}
