import { closeSync, openSync } from 'node:fs';
import { checked, libc } from './libc.ts';

/** `_IOW('R', 0x03, int[2])` of `linux/random.h`. */
const RNDADDENTROPY = 0x40085203n;

/** Mixes bytes into the kernel's random pool and credits all their bits (`struct rand_pool_info`). */
export function addEntropy(bytes: Uint8Array): void {
  const info = Buffer.alloc(8 + bytes.length);
  info.writeInt32LE(bytes.length * 8, 0);
  info.writeInt32LE(bytes.length, 4);
  info.set(bytes, 8);
  const fd = openSync('/dev/urandom', 'r+');
  try {
    checked(
      libc().ioctl(fd, RNDADDENTROPY, info),
      'ioctl RNDADDENTROPY',
      `add ${bytes.length} bytes of entropy`,
    );
  } finally {
    closeSync(fd);
  }
}
