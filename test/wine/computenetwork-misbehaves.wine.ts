import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHcsError, type NetworkEvent, queryFor } from '@hcsshim/hcn';
import { createWindowsNetworkService } from '@hcsshim/hcn/windows';
import { bind, computenetwork, DllCallError } from '@hcsshim/windows';
import type { NetworkFault } from './network-backend.ts';
import { assertNothingLeakedFrom, ledgerOf } from './stand-in-ledger.ts';

const { networks, endpoints, namespaces, watch } = createWindowsNetworkService();
const ledger = ledgerOf(computenetwork.file);

function named(fault: NetworkFault): { Name: string; Type: 'L2Bridge' } {
  return { Name: `fault: ${fault}`, Type: 'L2Bridge' };
}

function about(fault: NetworkFault) {
  return queryFor({ Name: `fault: ${fault}` });
}

function handlesClosed(): number {
  return ledger.StandInCountCalls({ procedure: 'HcnCloseNetwork' });
}

async function namesOfAll(): Promise<string[]> {
  const { networks: ids } = await bind(computenetwork).HcnEnumerateNetworks({ query: '' });
  return JSON.parse(ids ?? '') as string[];
}

describe('a computenetwork.dll that misbehaves', { timeout: 60_000 }, () => {
  afterEach(async () => {
    assert.deepEqual(await namesOfAll(), [], 'no network is left');
    await assertNothingLeakedFrom(ledger);
  });

  test("a refusal has the code's name, the service's words and the call as its cause", async () => {
    await assert.rejects(networks.create({ ...named('refused'), ID: randomUUID() }), (error) => {
      assert.ok(isHcsError(error, 'E_ACCESSDENIED'));
      assert.match(
        error.message,
        /^Cannot create network "[0-9a-f-]{36}": The caller lacks the rights, E_ACCESSDENIED /,
      );
      assert.ok(error.cause instanceof DllCallError);
      assert.equal(error.cause.procedure, 'HcnCreateNetwork');
      return true;
    });
  });

  const failures: [NetworkFault, code: string, words: RegExp][] = [
    ['unknown code', 'E_FAIL', /answered with 0x8BADF00D, which has no name here/],
    ['no record', 'HCN_E_INVALID_NETWORK', /the provided network configuration is invalid/],
    ['garbage record', 'HCN_E_INVALID_NETWORK', /the provided network configuration is invalid/],
    ['success record', 'HCN_E_INVALID_POLICY', /The provided policy configuration is invalid/],
  ];
  for (const [fault, code, words] of failures) {
    test(`a failure told by "${fault}" is an error, in an enumeration too`, async () => {
      await assert.rejects(networks.enumerate(about(fault)), { code, message: words });
    });
  }

  test('a create that reports success and failure leaves no network and no handle', async () => {
    const before = handlesClosed();
    await assert.rejects(networks.create(named('success record')), { code: 'HCN_E_INVALID_POLICY' });
    assert.equal(handlesClosed(), before + 1);
  });

  test('success without a handle is an error', async () => {
    const ID = randomUUID();
    await assert.rejects(networks.create({ ...named('no handle'), ID }), {
      code: 'E_UNEXPECTED',
      message: /it reported success without a "network"/,
    });
    // Without a handle there is no telling whether the service has made one.
    await networks.delete(ID);
  });

  const garbage: [NetworkFault, words: RegExp][] = [
    ['nothing', /the answer of the Host Network Service is missing/],
    ['not json', /the answer of the Host Network Service is no JSON/],
    ['wrong types', /the answer of the Host Network Service has (no "ID" that is a GUID|a field)/],
    ['huge', /has 20000011 characters, more than 16777216/],
  ];
  for (const [fault, words] of garbage) {
    test(`properties that are "${fault}" are an error, and what was created is deleted`, async () => {
      const before = handlesClosed();
      await assert.rejects(networks.create(named(fault)), { code: 'ERROR_INVALID_DATA', message: words });
      assert.equal(handlesClosed(), before + 1);
    });
  }

  for (const fault of ['nothing', 'not json', 'wrong types', 'huge'] as const) {
    test(`a list of ids that is "${fault}" is an error`, async () => {
      await assert.rejects(networks.enumerate(about(fault)), { code: 'ERROR_INVALID_DATA' });
    });
  }

  test('what goes away during an enumeration is left out of it', async () => {
    const id = randomUUID();
    const { network } = await bind(computenetwork).HcnCreateNetwork({
      id,
      settings: JSON.stringify(named('gone')),
    });
    await bind(computenetwork).HcnCloseNetwork({ network });
    assert.deepEqual(await networks.enumerate(), []);
    await networks.delete(id);
  });

  test('a slow create that is given up closes its handle and deletes its network, then tells the reason', async () => {
    const before = handlesClosed();
    const signal = AbortSignal.timeout(100);
    await assert.rejects(networks.create(named('slow'), { signal }), { name: 'TimeoutError' });
    assert.equal(handlesClosed(), before + 1);
    assert.deepEqual(await networks.enumerate(), []);
  });

  test('a handle is closed after each call, once', async () => {
    const count = (procedure: string) => ledger.StandInCountCalls({ procedure });
    const opened = () => count('HcnOpenNetwork') + count('HcnCreateNetwork') - count('HcnCloseNetwork');
    const before = opened();
    const { ID } = await networks.create({ Name: 'handles' });
    await networks.open(ID);
    await networks.modify(ID, { ResourceType: 'DNS', RequestType: 'Update', Settings: {} });
    const { ID: endpoint } = await endpoints.create({ HostComputeNetwork: ID });
    await networks.enumerate();
    await endpoints.delete(endpoint);
    await networks.delete(ID);
    assert.equal(opened(), before);
    assert.equal(ledger.StandInCountOpenHandles({}), 0);
  });

  test('a network whose document leaves its type out is a NAT', async () => {
    const created = await networks.create({ Name: 'nat' });
    assert.equal(created.Type, 'NAT');
    assert.equal((await networks.open(created.ID)).Type, 'NAT');
    await networks.delete(created.ID);
  });

  test('a watch tells of what it does not know, and that the service has gone', async () => {
    const told: NetworkEvent[] = [];
    // What tests before have done may still be told, with ids.
    await using _ = await watch((event) => event.id ?? told.push(event));
    await networks.enumerate(about('odd notification'));
    await networks.enumerate(about('disconnect'));
    for (let tries = 0; told.length < 3 && tries < 200; tries++) await sleep(10);
    assert.deepEqual(told, [
      { type: 'Other', number: 0x7abcdef0 },
      { type: 'NetworkCreate', number: 2 },
      { type: 'ServiceDisconnect', number: 0x01000000 },
    ]);
  });

  test('200 watches, opened and closed while notifications are under way, all end', async () => {
    let told = 0;
    const churn = async () => {
      for (let round = 0; round < 20; round++) {
        const { ID } = await namespaces.create({ Type: 'Host' });
        await namespaces.delete(ID);
      }
    };
    const watches = async () => {
      for (let round = 0; round < 20; round++) {
        const open = await Promise.all(Array.from({ length: 10 }, () => watch(() => told++)));
        await Promise.all(open.map((one) => one[Symbol.asyncDispose]()));
      }
    };
    await Promise.all([churn(), watches()]);
    const atEnd = told;
    const { ID } = await namespaces.create({ Type: 'Host' });
    await namespaces.delete(ID);
    assert.equal(told, atEnd);
  });
});
