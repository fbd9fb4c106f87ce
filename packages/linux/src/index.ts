export { receiveFds, sendFds } from './ancillary-fds.ts';
export { setClock } from './clock.ts';
export { addEntropy } from './entropy.ts';
export { createEventFd, drainEventFd, signalEventFd } from './event-fd.ts';
export { streamFromFd } from './fd-stream.ts';
export { FdWatcher, waitUntilReady } from './fd-watcher.ts';
export { FileLock } from './file-lock.ts';
export { setHostname } from './hostname.ts';
export { closeFd } from './libc.ts';
export { attachLoopDevice, type LoopDevice, type LoopDeviceOptions } from './loop-device.ts';
export { createMemfd } from './memfd.ts';
export { MemoryMap } from './memory-map.ts';
export { MountFlag, mount, UnmountFlag, unmount } from './mount.ts';
export { readNow, writeNow } from './non-blocking-io.ts';
export { openPipe, type Pipe } from './pipe.ts';
export {
  killProcess,
  openPidFd,
  type ProcessExit,
  reapOrphans,
  setChildSubreaper,
  setDeathSignal,
  waitForProcessEnd,
  waitPid,
} from './process.ts';
export { openPty, type Pty, resizePty } from './pty.ts';
export { reboot } from './reboot.ts';
export type { SocketListener } from './socket.ts';
export { copySparse } from './sparse-copy.ts';
export { SystemCallError } from './system-call-error.ts';
export { connectUnix, listenUnix, openSocketPair } from './unix-socket.ts';
export { connectVsock, listenVsock, VsockCid, vsockPortAny } from './vsock.ts';
export { readXattrs } from './xattr.ts';
