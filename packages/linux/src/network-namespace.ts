import { closeSync, openSync, rmSync, statfsSync, statSync } from 'node:fs';
import { checked, libc } from './libc.ts';
import { MountFlag, mount, UnmountFlag, unmount } from './mount.ts';

// linux/sched.h, linux/magic.h
const CLONE_NEWNET = 0x40000000;
const NSFS_MAGIC = 0x6e736673;

/** The namespace of the calling thread; that of the process is its first thread's. */
const own = '/proc/thread-self/ns/net';

/** A network namespace by its descriptor, to be closed by the caller. */
export function openNetworkNamespace(path: string = own): number {
  return openSync(path, 'r');
}

/** The inode number of this thread's network namespace, which tells it from all others that live. */
export function networkNamespaceInode(path: string = own): number {
  return statSync(path).ino;
}

/** Whether a file is a namespace that is mounted there. */
export function isNamespaceMount(path: string): boolean {
  return statfsSync(path).type === NSFS_MAGIC;
}

/** Moves this thread into a new network namespace, for good. Threads that start later start there. */
export function unshareNetworkNamespace(): void {
  checked(libc().unshare(CLONE_NEWNET), 'unshare', 'make a network namespace');
}

/**
 * Makes a network namespace that stays, also without a process in it, until `path` is unmounted; `path` is made
 * for it.
 *
 * @param prepare Is run in it, synchronously.
 */
export function createNetworkNamespace(path: string, prepare: () => void): void {
  closeSync(openSync(path, 'wx', 0o600));
  try {
    elsewhere(() => {
      unshareNetworkNamespace();
      mount(own, path, '', MountFlag.bind);
      try {
        prepare();
      } catch (error) {
        unmount(path, UnmountFlag.detach);
        throw error;
      }
    });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Unmounts a namespace and removes its file. It ends with the last process in it. */
export function removeNetworkNamespace(path: string): void {
  if (isNamespaceMount(path)) unmount(path, UnmountFlag.detach);
  rmSync(path, { force: true });
}

/**
 * Runs `work` in a network namespace. What it opens stays there, sockets above all. It must be synchronous: this
 * thread is in the other namespace meanwhile, and everything else that it runs would be too.
 */
export function inNetworkNamespace<T>(fd: number, work: () => T): T {
  return elsewhere(() => {
    checked(libc().setns(fd, CLONE_NEWNET), 'setns', 'enter a network namespace');
    return work();
  });
}

function elsewhere<T>(work: () => T): T {
  const home = openNetworkNamespace();
  try {
    return work();
  } finally {
    try {
      checked(libc().setns(home, CLONE_NEWNET), 'setns', 'return to the own network namespace');
    } finally {
      closeSync(home);
    }
  }
}
