import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HvListener } from '@hcsshim/bridge';
import { type HResultName, isHcsError } from '@hcsshim/schema';
import type { ComputeSystem } from '../compute-service.ts';
import type { TestHarness } from './contract-test.ts';
import type { ContractHarness } from './harness.ts';

/** Port where the agent dials its host, and the message with which a host greets it (inventory of the guest protocol). */
export const bridgePort = 0x40000000;
const negotiateRequest = 0x10100b01;
const negotiateResponse = 0x20100b01;
const headerBytes = 16;
const nobody = '00000000-0000-0000-0000-000000000000';

/** How long the clean-up after an end may take, in milliseconds. */
const cleanUpTimeout = 15_000;
const pollInterval = 20;

/** The call must fail with this code, and say all of these words. */
export async function assertFails(
  work: Promise<unknown>,
  code: HResultName,
  ...words: string[]
): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isHcsError(error), `not an HcsError: ${(error as Error).stack}`);
    assert.equal(error.code, code, error.message);
    for (const word of words) {
      assert.ok(error.message.includes(word), `"${word}" is missing in: ${error.message}`);
    }
    return true;
  });
}

export async function assertState(system: ComputeSystem, state: string): Promise<void> {
  assert.equal((await system.getProperties()).State, state);
}

/** Nothing of the harness's systems may be there, at the latest a little after their end. */
export async function assertNothingLeft(harness: Pick<ContractHarness, 'leftovers'>): Promise<void> {
  const deadline = Date.now() + cleanUpTimeout;
  let leftovers = await harness.leftovers();
  while (leftovers.length > 0 && Date.now() < deadline) {
    await sleep(pollInterval);
    leftovers = await harness.leftovers();
  }
  assert.deepEqual(leftovers, []);
}

/** A running system and the connection that its agent has made. */
export interface BootedSystem {
  system: ComputeSystem;
  bridge: Duplex;
}

/** Creates and starts a system and waits for its agent. */
export async function boot(harness: TestHarness, id: string): Promise<BootedSystem> {
  const system = await harness.compute.create(id, harness.document());
  const listener = await harness.sockets.listen(system.runtimeId, bridgePort);
  await system.start();
  const bridge = await acceptAgent(harness, listener);
  return { system, bridge };
}

/** The connection that the agent makes. It may break at any time. */
export async function acceptAgent(harness: TestHarness, listener: HvListener): Promise<Duplex> {
  const bridge = await harness.awaited('the connection of the guest agent', listener.accept());
  bridge.on('error', () => {});
  return bridge;
}

/** How a system or a process ends. */
export function exitOf<Exit>(
  harness: TestHarness,
  one: { id?: string; pid?: number; wait(): Promise<Exit> },
): Promise<Exit> {
  const what = one.pid === undefined ? `compute system "${one.id}"` : `process ${one.pid}`;
  return harness.awaited(`the end of ${what}`, one.wait());
}

/** Greets the agent. */
export function sendNegotiate(bridge: Duplex): void {
  const body = Buffer.from(
    `${JSON.stringify({ ContainerId: nobody, ActivityId: nobody, MinimumVersion: 4, MaximumVersion: 4 })}\n`,
  );
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(negotiateRequest, 0);
  header.writeUInt32LE(headerBytes + body.length, 4);
  header.writeBigUInt64LE(1n, 8);
  bridge.write(Buffer.concat([header, body]));
}

/** Resolves when the agent has answered the greeting as it should. */
export function receiveNegotiated(harness: TestHarness, bridge: Duplex): Promise<void> {
  return harness.awaited("the guest agent's answer to the greeting", readNegotiated(bridge));
}

async function readNegotiated(bridge: Duplex): Promise<void> {
  const header = await readExactly(bridge, headerBytes);
  assert.equal(header.readUInt32LE(0).toString(16), negotiateResponse.toString(16));
  assert.equal(header.readBigUInt64LE(8), 1n);
  const body = await readExactly(bridge, header.readUInt32LE(4) - headerBytes);
  const response = JSON.parse(body.toString('utf8')) as { Version?: number };
  assert.equal(response.Version, 4);
}

async function readExactly(stream: Duplex, length: number): Promise<Buffer> {
  for (;;) {
    const chunk = stream.read(length) as Buffer | null;
    if (chunk?.length === length) return chunk;
    if (stream.destroyed || stream.readableEnded)
      throw new Error(`The stream ended before ${length} bytes came`);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const event of ['readable', 'end', 'close']) stream.once(event, resolve);
    await promise;
    for (const event of ['readable', 'end', 'close']) stream.off(event, resolve);
  }
}
