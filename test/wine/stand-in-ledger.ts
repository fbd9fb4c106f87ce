import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BoundDll, bind, type Dll, openCallbackRoutes } from '@hcsshim/windows';

/** What every stand-in DLL exports for tests (`stand-in/ledger.h`). */
const counted = {
  file: '',
  build: 0,
  source: 'stand-in/ledger.h',
  procedures: {
    StandInCountCalls: {
      returns: 'INT',
      parameters: { procedure: 'PCSTR' },
      immediate: true,
      purpose: 'How often a procedure was called',
    },
    StandInCountOpenHandles: {
      returns: 'INT',
      parameters: {},
      immediate: true,
      purpose: 'Handles given and not closed',
    },
    StandInCountUnfreedStrings: {
      returns: 'INT',
      parameters: {},
      immediate: true,
      purpose: 'Strings given and not freed',
    },
  },
} as const satisfies Dll;

export type Ledger = BoundDll<typeof counted>;

/** The ledger of one stand-in DLL. */
export function ledgerOf(file: string): Ledger {
  return bind({ ...counted, file });
}

export const ledger = ledgerOf('computecore.dll');

/** Everything that the DLL gave has been given back, and nothing waits for a callback. */
export function assertNothingLeaked(): Promise<void> {
  return assertNothingLeakedFrom(ledger);
}

/** As {@link assertNothingLeaked}, of another DLL. */
export async function assertNothingLeakedFrom(books: Ledger): Promise<void> {
  // A disposal that nobody waits for may still be under way.
  for (let tries = 0; tries < 50 && books.StandInCountOpenHandles({}) > 0; tries++) await sleep(10);
  assert.deepEqual(
    {
      handles: books.StandInCountOpenHandles({}),
      strings: books.StandInCountUnfreedStrings({}),
      routes: openCallbackRoutes(),
    },
    { handles: 0, strings: 0, routes: 0 },
  );
}
