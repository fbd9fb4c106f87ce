import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';

test("the SDK's example that lists systems shows those of the service", async (context) => {
  await using system = await createWindowsComputeService().create('listed', {
    Owner: 'test',
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: true,
  });
  await system.start();
  const log = context.mock.method(console, 'log', () => {});
  await import('../../packages/hcsshim/examples/list-systems.ts');
  const lines = log.mock.calls.map(({ arguments: [line] }) => String(line));
  assert.match(lines[0] ?? '', /^listed .* Running /);
  assert.deepEqual(lines.slice(1), ['1 compute system']);
});
