import { checked, libc } from './libc.ts';

/** Names the host of this UTS namespace. At most 64 bytes. */
export function setHostname(name: string): void {
  checked(
    libc().sethostname(name, BigInt(Buffer.byteLength(name))),
    'sethostname',
    `set the host name to "${name}"`,
  );
}
