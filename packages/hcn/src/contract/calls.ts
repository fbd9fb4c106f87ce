import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFeatureSupported } from '../features.ts';
import type { NetworkEvent } from '../network-service.ts';
import { networkByName } from '../queries.ts';
import { assertFails, lendNamespace, lendNetwork } from './expectations.ts';
import type { NetworkContractTest } from './index.ts';

const pollInterval = 10;
const eventTimeout = 5_000;

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + eventTimeout;
  while (!holds() && Date.now() < deadline) await sleep(pollInterval);
  assert.ok(holds(), 'nothing more has come');
}

/** Events about these objects. Others may be told too, of what has happened before or elsewhere. */
function toldOf(told: readonly NetworkEvent[], ...ids: string[]): NetworkEvent[] {
  const wanted = new Set(ids.map((id) => id.toLowerCase()));
  return told.filter(({ id }) => id !== undefined && wanted.has(id.toLowerCase()));
}

export const calls: Record<string, NetworkContractTest> = {
  async 'a watch tells of networks and namespaces, in order, until it is disposed of'(harness) {
    const told: NetworkEvent[] = [];
    const watch = await harness.network.watch((event) => told.push(event));
    const network = await lendNetwork(harness, harness.name('watched'));
    const namespace = await lendNamespace(harness);
    await namespace[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
    await until(() => toldOf(told, network.id, namespace.id).length >= 6);
    assert.deepEqual(
      toldOf(told, network.id, namespace.id).map(({ type }) => type),
      [
        'NetworkPreCreate',
        'NetworkCreate',
        'NamespaceCreate',
        'NamespaceDelete',
        'NetworkPreDelete',
        'NetworkDelete',
      ],
    );
    await watch[Symbol.asyncDispose]();
    await watch[Symbol.asyncDispose]();
    await using unwatched = await lendNetwork(harness, harness.name('unwatched'));
    await sleep(5 * pollInterval);
    assert.deepEqual(toldOf(told, unwatched.id), []);
  },

  async 'several watches hear the same, each to its own end'(harness) {
    const first: NetworkEvent[] = [];
    const second: NetworkEvent[] = [];
    await using _ = await harness.network.watch((event) => first.push(event));
    await using watch = await harness.network.watch((event) => second.push(event));
    await using one = await lendNamespace(harness);
    await until(() => toldOf(second, one.id).length === 1);
    assert.deepEqual(toldOf(first, one.id), toldOf(second, one.id));
    await watch[Symbol.asyncDispose]();
    await using other = await lendNamespace(harness);
    await until(() => toldOf(first, other.id).length === 1);
    assert.deepEqual(toldOf(second, other.id), []);
  },

  async 'a call with a signal that has aborted rejects with its reason, and does nothing'(harness) {
    const service = harness.network;
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const name = harness.name('aborted');
    const isReason = (error: unknown) => error === reason;
    await assert.rejects(service.networks.create(harness.document(name), { signal }), isReason);
    await assert.rejects(service.networks.enumerate({}, { signal }), isReason);
    await assert.rejects(
      service.watch(() => {}, { signal }),
      isReason,
    );
    await assertFails(networkByName(service, name), 'HCN_E_NETWORK_NOT_FOUND');
  },

  async 'a create that is given up leaves nothing'(harness) {
    const service = harness.network;
    const controller = new AbortController();
    const reason = new Error('enough');
    const name = harness.name('given up');
    const creating = service.networks.create(harness.document(name), { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(creating, (error) => error === reason);
    await assertFails(networkByName(service, name), 'HCN_E_NETWORK_NOT_FOUND');
  },

  async 'what is no id is refused'(harness) {
    const { networks, namespaces } = harness.network;
    for (const id of ['', 'nat', `${'0'.repeat(8)}-nope`]) {
      await assertFails(networks.open(id), 'E_INVALIDARG');
      await assertFails(namespaces.delete(id), 'E_INVALIDARG');
    }
  },

  async 'a query with a mistake is refused'(harness) {
    const { networks } = harness.network;
    await assertFails(networks.enumerate({ Filter: 7 } as never), 'HCS_E_INVALID_JSON', 'Filter');
    await assertFails(networks.enumerate({ Filter: '{"Name"' }), 'HCN_E_INVALID_JSON');
  },

  async '200 calls at once all end, each with its own result'(harness) {
    const { namespaces } = harness.network;
    const created = await Promise.all(Array.from({ length: 40 }, () => namespaces.create({ Type: 'Host' })));
    assert.equal(new Set(created.map(({ ID }) => ID)).size, created.length);
    const opened = await Promise.all(
      Array.from({ length: 200 }, (_, index) => namespaces.open(created[index % created.length]?.ID ?? '')),
    );
    for (const [index, { ID }] of opened.entries()) assert.equal(ID, created[index % created.length]?.ID);
    await Promise.all(created.map(({ ID }) => namespaces.delete(ID)));
    const left = new Set((await namespaces.enumerate()).map(({ ID }) => ID));
    assert.ok(created.every(({ ID }) => !left.has(ID)));
  },

  async 'the version tells which features there are'(harness) {
    const version = await harness.network.version();
    assert.equal(isFeatureSupported(version, 'ApiV2'), true, JSON.stringify(version));
  },
};
