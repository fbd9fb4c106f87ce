import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainEnd, type QemuEnd } from './exit-reason.ts';

const quiet: QemuEnd = {
  exitCode: 0,
  signal: null,
  events: [],
  errors: '',
  console: '',
  terminated: false,
};
const shutdown = (reason: string) => ({ event: 'SHUTDOWN', data: { guest: true, reason } });

const ends: [string, Partial<QemuEnd>, string, string][] = [
  [
    'a power-off by the guest',
    { events: [shutdown('guest-shutdown')] },
    'GracefulExit',
    'the guest powered off',
  ],
  [
    'a reset by the guest',
    { events: [shutdown('guest-reset')] },
    'GracefulExit',
    'the guest asked for a reset',
  ],
  [
    'a panic, with its reason from the console',
    {
      events: [{ event: 'GUEST_PANICKED', data: { action: 'poweroff' } }, shutdown('guest-panic')],
      console: '[    1.5] Kernel panic - not syncing: sysrq triggered crash\r\n[    1.6] CPU: 0',
    },
    'UnexpectedExit',
    'the guest kernel panicked: sysrq triggered crash',
  ],
  [
    'a panic that only the console knows of',
    { events: [shutdown('guest-reset')], console: 'Kernel panic - not syncing: VFS\n' },
    'UnexpectedExit',
    'the guest kernel panicked: VFS',
  ],
  [
    'an end that was asked for',
    { terminated: true, signal: 'SIGKILL', exitCode: null },
    'ForcedExit',
    'it was terminated',
  ],
  [
    'a killed QEMU',
    { signal: 'SIGKILL', exitCode: null },
    'UnexpectedExit',
    'QEMU was killed by signal SIGKILL',
  ],
  [
    'a QEMU that fails, with its own words',
    { exitCode: 1, errors: 'qemu: could not load kernel\n' },
    'UnexpectedExit',
    'QEMU ended with exit code 1: qemu: could not load kernel',
  ],
];

for (const [name, end, type, reason] of ends) {
  test(`${name} is told as such`, () => {
    assert.deepEqual(explainEnd({ ...quiet, ...end }), { type, reason });
  });
}
