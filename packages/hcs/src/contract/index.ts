import { describe, it } from 'node:test';
import { type ContractTest, runContractTest } from './contract-test.ts';
import { devices } from './devices.ts';
import { assertNothingLeft } from './expectations.ts';
import { handles } from './handles.ts';
import type { ChapterName, ContractSubject } from './harness.ts';
import { lifeCycle } from './life-cycle.ts';
import { ownership } from './ownership.ts';
import { processes } from './processes.ts';
import { service } from './service.ts';

export type { ContractTest, TestHarness } from './contract-test.ts';
export type {
  ChapterName,
  ContractHarness,
  ContractPrograms,
  ContractSubject,
  ForeignOwner,
} from './harness.ts';

const chapters: Record<ChapterName, Record<string, ContractTest>> = {
  'life cycle': lifeCycle,
  handles,
  'disks and sockets': devices,
  ownership,
  service,
  processes,
};

const defaultPatience = 60_000;
/** For what a harness and its clean-up take beside the test. */
const grace = 30_000;

/**
 * The compliance suite of `ComputeService` and `HvSocket`, for node:test: call it in a test file of the
 * implementation. Each test gets a harness of its own, and at its end nothing may be left of it. What a test opens
 * the suite closes.
 */
export function computeServiceContract(name: string, subject: ContractSubject): void {
  const promises = new Set(Object.values(chapters).flatMap((tests) => Object.keys(tests)));
  for (const promise of Object.keys(subject.untested ?? {})) {
    if (!promises.has(promise))
      throw new Error(`Cannot leave "${promise}" untested: there is no such promise`);
  }
  describe(`${name} keeps the compute service's contract`, { skip: subject.skip ?? false }, () => {
    for (const [chapter, tests] of Object.entries(chapters)) {
      const skip = subject.untestedChapters?.[chapter as ChapterName] ?? false;
      describe(chapter, { skip }, () => {
        for (const [promise, test] of Object.entries(tests)) {
          const patience = subject.patience ?? defaultPatience;
          const options = {
            timeout: patience + grace,
            skip: subject.untested?.[promise] ?? false,
          };
          it(promise, options, async () => {
            await using harness = await subject.open();
            await runContractTest(test, harness, patience);
            await assertNothingLeft(harness);
          });
        }
      });
    }
  });
}
