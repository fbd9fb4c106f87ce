import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HvSocket } from '@hcsshim/bridge';
import { bind, type Dll, openCallbackRoutes, winsock } from '@hcsshim/windows';
import type { WindowsHvSocketOptions } from '../../packages/bridge/src/windows/index.ts';
import { WindowsHvSocket } from '../../packages/bridge/src/windows/windows-hv-socket.ts';

/** The stand-in for Winsock (`stand-in/hvsocket.c`), which has AF_HYPERV. */
const standIn = { ...winsock, file: 'hvsocket-stand-in.dll' } as const satisfies Dll;

const counted = {
  file: standIn.file,
  build: 0,
  source: 'stand-in/ledger.h',
  procedures: {
    StandInCountCalls: {
      returns: 'INT',
      parameters: { procedure: 'PCSTR' },
      immediate: true,
      purpose: 'How often a procedure was called',
    },
    StandInCountOpenSockets: {
      returns: 'INT',
      parameters: {},
      immediate: true,
      purpose: 'Hvsockets that are open, whoever closes them',
    },
  },
} as const satisfies Dll;

const { StandInCountCalls, StandInCountOpenSockets } = bind(counted);

export const hvSocketLedger = { StandInCountCalls, procedures: standIn.procedures };

/** What `createWindowsHvSocket` gives, over the stand-in. */
export function createStandInHvSocket(options: WindowsHvSocketOptions = {}): HvSocket {
  return new WindowsHvSocket(bind(standIn), options);
}

/** Every hvsocket has been closed, and nothing waits for a callback. */
export async function assertNoSocketsLeaked(): Promise<void> {
  // libuv closes sockets in its own time.
  for (let tries = 0; tries < 50 && StandInCountOpenSockets({}) > 0; tries++) await sleep(10);
  assert.deepEqual(
    { sockets: StandInCountOpenSockets({}), routes: openCallbackRoutes() },
    { sockets: 0, routes: 0 },
  );
}
