import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import {
  bind,
  type ComputeEvent,
  ComputeEventType,
  computecore,
  createComputeSystem,
  openComputeSystem,
  runOperation,
  type SystemHandle,
  watchComputeSystem,
} from '@hcsshim/windows';
import { assertNothingLeaked } from './stand-in-ledger.ts';

const port = process.env.HCSSHIM_STAND_IN_ENGINE_PORT;
// The DLL reads it at its first call.
if (port !== undefined) process.env.HCSSHIM_STAND_IN_PORT = port;

const hcs = bind(computecore);
const document = JSON.stringify({
  Owner: 'wine',
  SchemaVersion: { Major: 2, Minor: 1 },
  ShouldTerminateOnLastHandleClosed: true,
  VirtualMachine: {
    Chipset: {},
    ComputeTopology: { Memory: { SizeInMB: 256 }, Processor: { Count: 1 } },
  },
});

async function stateOf(system: SystemHandle): Promise<string> {
  const properties = await runOperation('ask', (operation) =>
    system.use((computeSystem) => hcs.HcsGetComputeSystemProperties({ computeSystem, operation })),
  );
  return (JSON.parse(properties ?? '{}') as { State: string }).State;
}

describe('the sandbox engine, driven from Windows through computecore.dll', {
  skip: port === undefined ? 'sandboxes need root' : false,
  timeout: 110_000,
}, () => {
  after(assertNothingLeaked);

  test('a system is created, started, seen by a second handle, terminated, and its end is told', async () => {
    await using system = await createComputeSystem('wine-life', document);
    const events: ComputeEvent[] = [];
    const exited = Promise.withResolvers<void>();
    using _ = await watchComputeSystem(system, (event) => {
      events.push(event);
      exited.resolve();
    });
    assert.equal(await stateOf(system), 'Created');
    await runOperation('start', (operation) =>
      system.use((computeSystem) => hcs.HcsStartComputeSystem({ computeSystem, operation })),
    );
    await using second = await openComputeSystem('wine-life');
    assert.equal(await stateOf(second), 'Running');
    const list = await runOperation('list', (operation) =>
      hcs.HcsEnumerateComputeSystems({ query: '{"Ids":["wine-life"]}', operation }),
    );
    assert.equal((JSON.parse(list ?? '[]') as { Owner: string }[])[0]?.Owner, 'wine');
    await runOperation('terminate', (operation) =>
      second.use((computeSystem) => hcs.HcsTerminateComputeSystem({ computeSystem, operation })),
    );
    await exited.promise;
    assert.deepEqual(events, [
      { type: ComputeEventType.SystemExited, data: '{"Status":0,"ExitType":"ForcedExit"}', operation: null },
    ]);
  });

  test("the engine's refusals come with their code and words", async () => {
    await assert.rejects(openComputeSystem('wine-nobody'), { hresult: 0x8037010e });
    await assert.rejects(createComputeSystem('wine-wrong', '{"Owner":"wine"}'), (error) => {
      const { hresult, document: words } = error as { hresult: number; document: string };
      assert.equal(hresult, 0x8037010d);
      assert.match(words, /"ErrorMessage":"SchemaVersion: is missing/);
      return true;
    });
  });

  test('closing the last handle ends the system', async () => {
    const system = await createComputeSystem('wine-last', document);
    await runOperation('start', (operation) =>
      system.use((computeSystem) => hcs.HcsStartComputeSystem({ computeSystem, operation })),
    );
    await system.close();
    await assert.rejects(openComputeSystem('wine-last'), { hresult: 0x8037010e });
  });
});
