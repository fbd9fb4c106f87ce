import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Notification, openCallbackRoutes, routeCallback } from './callbacks.ts';
import { koffi } from './koffi.ts';

/** Calls a route as a DLL would, on this thread; koffi's calls and callbacks are the same on Linux. */
function notify(address: bigint, context: bigint, type: number): void {
  koffi().call(address, 'HCS_NOTIFICATION_CALLBACK', type, context, 0x80370110, 0n);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('callback routes', () => {
  test('bring each callback to its own handler, in order, after the caller has gone on', async () => {
    const first: Notification[] = [];
    const second: Notification[] = [];
    using a = routeCallback('HCS_NOTIFICATION_CALLBACK', (value) => first.push(value));
    using b = routeCallback('HCS_NOTIFICATION_CALLBACK', (value) => second.push(value));
    assert.equal(a.callback, b.callback, 'one address serves all');
    for (const type of [1, 2, 3]) notify(a.callback, a.context, type);
    notify(b.callback, b.context, 4);
    assert.deepEqual(first, []);
    await turn();
    assert.deepEqual(
      first.map(({ type }) => type),
      [1, 2, 3],
    );
    assert.deepEqual(second, [{ type: 4, status: 0x80370110, data: null }]);
  });

  test('bring nothing once disposed of, also what was on its way', async () => {
    const told: Notification[] = [];
    const route = routeCallback('HCS_NOTIFICATION_CALLBACK', (value) => told.push(value));
    notify(route.callback, route.context, 1);
    route[Symbol.dispose]();
    notify(route.callback, route.context, 2);
    notify(route.callback, 0n, 3);
    await turn();
    assert.deepEqual(told, []);
    assert.equal(openCallbackRoutes(), 0);
  });

  test('keep the process alive as long as one is open', () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const routes = [1, 2].map(() => routeCallback('HCS_EVENT_CALLBACK', () => {}));
    assert.equal(timers(), before + 1);
    routes[0]?.[Symbol.dispose]();
    assert.equal(timers(), before + 1);
    routes[1]?.[Symbol.dispose]();
    routes[1]?.[Symbol.dispose]();
    assert.equal(timers(), before);
  });
});
