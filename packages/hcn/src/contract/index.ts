import { describe, it } from 'node:test';
import { calls } from './calls.ts';
import { endpoints } from './endpoints.ts';
import type { NetworkContractHarness, NetworkContractSubject } from './harness.ts';
import { loadBalancersAndRoutes } from './load-balancers-and-routes.ts';
import { namespaces } from './namespaces.ts';
import { networks } from './networks.ts';

export type { NetworkContractHarness, NetworkContractSubject } from './harness.ts';

/** A promise of the network service, kept or broken by an implementation. It cleans up what it has made. */
export type NetworkContractTest = (harness: NetworkContractHarness) => Promise<void>;

const chapters: Record<string, Record<string, NetworkContractTest>> = {
  networks,
  endpoints,
  namespaces,
  'load balancers and routes': loadBalancersAndRoutes,
  calls,
};

const defaultPatience = 30_000;

/**
 * The compliance suite of `NetworkService`, for node:test: call it in a test file of the implementation. Each
 * test gets a harness of its own.
 */
export function networkServiceContract(name: string, subject: NetworkContractSubject): void {
  const promises = new Set(Object.values(chapters).flatMap((tests) => Object.keys(tests)));
  for (const promise of Object.keys(subject.untested ?? {})) {
    if (!promises.has(promise))
      throw new Error(`Cannot leave "${promise}" untested: there is no such promise`);
  }
  describe(`${name} keeps the network service's contract`, { skip: subject.skip ?? false }, () => {
    for (const [chapter, tests] of Object.entries(chapters)) {
      describe(chapter, () => {
        for (const [promise, test] of Object.entries(tests)) {
          const options = {
            timeout: subject.patience ?? defaultPatience,
            skip: subject.untested?.[promise] ?? false,
          };
          it(promise, options, async () => {
            await using harness = await subject.open();
            await test(harness);
          });
        }
      });
    }
  });
}
