import assert from 'node:assert/strict';
import { type HResultName, isHcsError } from '@hcsshim/schema';
import type { HostComputeEndpoint, HostComputeNamespace, HostComputeNetwork } from '@hcsshim/schema/hcn';
import { newNamespace } from '../namespaces.ts';
import type { NetworkObjects, Stored } from '../network-service.ts';
import type { NetworkContractHarness } from './harness.ts';

export const unknownId = 'deadbeef-0000-4000-8000-00000000dead';

/** The call must fail with this code, and say all of these words. */
export async function assertFails(
  work: Promise<unknown>,
  code: HResultName,
  ...words: string[]
): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isHcsError(error), `not an HcsError: ${(error as Error).stack}`);
    assert.equal(error.code, code, error.message);
    for (const word of words)
      assert.ok(error.message.includes(word), `"${word}" is missing in: ${error.message}`);
    return true;
  });
}

/** Ids are GUIDs, in any letter case. */
export function assertSameIds(found: readonly (string | undefined)[], wanted: readonly string[]): void {
  const lower = (ids: readonly (string | undefined)[]) => ids.map((id) => id?.toLowerCase()).sort();
  assert.deepEqual(lower(found), lower(wanted));
}

/** An object for the time of a test: what it is, and its deletion, unless the test has deleted it. */
export interface Lent<Document> extends AsyncDisposable {
  readonly document: Stored<Document>;
  readonly id: string;
}

export async function lend<Document>(
  objects: NetworkObjects<Document>,
  document: Document,
): Promise<Lent<Document>> {
  const created = await objects.create(document);
  return {
    document: created,
    id: created.ID,
    async [Symbol.asyncDispose]() {
      await objects.delete(created.ID).catch(() => {});
    },
  };
}

export function lendNetwork(
  { network, document }: NetworkContractHarness,
  name: string,
): Promise<Lent<HostComputeNetwork>> {
  return lend(network.networks, document(name));
}

export function lendEndpoint(
  { network }: NetworkContractHarness,
  networkId: string,
  changes: Partial<HostComputeEndpoint> = {},
): Promise<Lent<HostComputeEndpoint>> {
  return lend(network.endpoints, { HostComputeNetwork: networkId, ...changes });
}

export function lendNamespace({ network }: NetworkContractHarness): Promise<Lent<HostComputeNamespace>> {
  return lend(network.namespaces, newNamespace('Host'));
}
