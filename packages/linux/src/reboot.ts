import { checked, libc } from './libc.ts';

/** `RB_*` of `sys/reboot.h`. */
const commands = { 'power-off': 0x4321fedc, restart: 0x01234567, halt: 0xcdef0123 | 0 } as const;

/**
 * Ends the whole system at once: nothing is written back and no process is told, so call sync and unmount first. In a
 * pid namespace of its own it ends only the namespace.
 */
export function reboot(kind: keyof typeof commands): void {
  checked(libc().reboot(commands[kind]), 'reboot', `reboot the system (${kind})`);
}
