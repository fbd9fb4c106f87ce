import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryFor } from '@hcsshim/hcn';
import { createWindowsComputeService } from '@hcsshim/hcs/windows';
import { openPlatform } from 'hcsshim';

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

test("the SDK's example of a network makes one through computenetwork.dll", async (context) => {
  const log = context.mock.method(console, 'log', () => {});
  await import('../../packages/hcsshim/examples/network.ts');
  const [line] = log.mock.calls.map(({ arguments: [text] }) => String(text));
  assert.match(line ?? '', /^NAT network, address 10\.213\.77\.\d+, endpoints in the namespace: 1$/);
  const network = await (await openPlatform()).openNetwork();
  assert.deepEqual(await network.networks.enumerate(queryFor({ Name: `example-${process.pid}` })), []);
});
