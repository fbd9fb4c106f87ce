import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { checked, closeFd, lastErrno, libc } from './libc.ts';
import { SystemCallError } from './system-call-error.ts';

// linux/loop.h
const LOOP_CTL_GET_FREE = 0x4c82n;
const LOOP_CONFIGURE = 0x4c0an;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const loopMajor = 7n;
const S_IFBLK = 0o060000;

const { EBUSY, EEXIST } = constants.errno;
const maxAttempts = 64;

/** A file as a block device. */
export interface LoopDevice extends AsyncDisposable {
  /** `/dev/loop7` */
  readonly path: string;
  readonly fd: number;
  /** Lets go of the device. The kernel frees it (autoclear) when no mount and no other process uses it either. */
  close(): Promise<void>;
}

export interface LoopDeviceOptions {
  /** @default false */
  readOnly?: boolean;
  /** First byte of the file that the device shows; a multiple of 512. @default 0 */
  offset?: number;
  /** Bytes that the device shows, such as those of a fixed VHD without its footer. @default the rest of the file */
  sizeLimit?: number;
  signal?: AbortSignal | undefined;
}

/**
 * Attaches a file to a free loop device. The device goes away by itself when its last user does, also when this process
 * is killed.
 */
export async function attachLoopDevice(path: string, options: LoopDeviceOptions = {}): Promise<LoopDevice> {
  const { readOnly = false, signal } = options;
  const backing = openSync(path, readOnly ? 'r' : 'r+');
  try {
    const config = loopConfig(backing, path, options);
    // Between asking for a free device and configuring it, someone else may take it.
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      signal?.throwIfAborted();
      const device = `/dev/loop${freeIndex(path)}`;
      const fd = openSync(device, readOnly ? 'r' : 'r+');
      if (libc().ioctl(fd, LOOP_CONFIGURE, config) === 0) return openedDevice(device, fd);
      const errno = lastErrno();
      closeFd(fd);
      if (errno !== EBUSY) {
        throw new SystemCallError('ioctl LOOP_CONFIGURE', errno, `attach "${path}" to ${device}`);
      }
      await delay(attempt, undefined, signal ? { signal } : {});
    }
    throw new Error(
      `Cannot attach "${path}" to a loop device: lost ${maxAttempts} races for a free one, try again later`,
    );
  } finally {
    closeSync(backing);
  }
}

function openedDevice(path: string, fd: number): LoopDevice {
  let open = true;
  const close = async () => {
    if (!open) return;
    open = false;
    closeFd(fd);
  };
  return { path, fd, close, [Symbol.asyncDispose]: close };
}

function freeIndex(path: string): number {
  const control = openSync('/dev/loop-control', 'r+');
  try {
    const index = checked(
      libc().ioctl(control, LOOP_CTL_GET_FREE, null),
      'ioctl LOOP_CTL_GET_FREE',
      `find a free loop device for "${path}"`,
    );
    // Where /dev is no devtmpfs (a container) nobody makes the node.
    const made = libc().mknod(`/dev/loop${index}`, S_IFBLK | 0o600, (loopMajor << 8n) | BigInt(index));
    if (made === -1 && lastErrno() !== EEXIST) checked(made, 'mknod', `make "/dev/loop${index}"`);
    return index;
  } finally {
    closeSync(control);
  }
}

/**
 * `struct loop_config`:
 *
 *     0   4           8                                              240       304
 *     fd  block size  struct loop_info64                             reserved
 *                     +24 offset  +32 size limit  +52 flags  +56 file name[64]
 */
function loopConfig(fd: number, path: string, options: LoopDeviceOptions): Uint8Array {
  const info = 8;
  const bytes = Buffer.alloc(304);
  bytes.writeUInt32LE(fd, 0);
  bytes.writeBigUInt64LE(BigInt(options.offset ?? 0), info + 24);
  bytes.writeBigUInt64LE(BigInt(options.sizeLimit ?? 0), info + 32);
  bytes.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (options.readOnly ? LO_FLAGS_READ_ONLY : 0), info + 52);
  bytes.write(path, info + 56, 63);
  return bytes;
}
