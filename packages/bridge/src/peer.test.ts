/** Each end against a peer that is written down byte by byte, as upstream's would be. */
import assert from 'node:assert/strict';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, test } from 'node:test';
import { HcsError, isHcsError } from '@hcsshim/schema';
import { BridgeServer, encodeFrame, type Frame, FrameDecoder, GuestConnection } from './index.ts';

const zero = '00000000-0000-0000-0000-000000000000';

let streams: Duplex[] = [];
afterEach(() => {
  for (const stream of streams) stream.destroy();
  streams = [];
});

function pair(): [Duplex, Duplex] {
  const both = duplexPair();
  streams.push(...both);
  for (const stream of both) stream.on('error', () => {});
  return both;
}

async function* framesOf(stream: Duplex): AsyncGenerator<Frame, never> {
  const decoder = new FrameDecoder(1 << 20);
  for await (const chunk of stream) yield* decoder.push(chunk);
  throw new Error('the stream ended');
}

const textOf = (frame: Frame): string => Buffer.from(frame.body).toString();

function send(stream: Duplex, type: number, sequenceId: bigint, body: string): void {
  stream.write(encodeFrame({ type, sequenceId, body: Buffer.from(body) }));
}

const negotiated = `{"Result":0,"ActivityId":"${zero}","Version":4,"Capabilities":{"SupportedSchemaVersions":[{"Major":2,"Minor":1}],"RuntimeOsType":"Linux","GuestDefinedCapabilities":{"NamespaceAddRequestSupported":true,"SignalProcessSupported":true,"DumpStacksSupported":true,"DeleteContainerStateSupported":true}}}`;

/** A host of ours, connected to a guest that the test plays. */
async function hostAndGuest(): Promise<{
  host: GuestConnection;
  guest: Duplex;
  requests: AsyncGenerator<Frame, never>;
}> {
  const [hostStream, guest] = pair();
  const connecting = GuestConnection.connect(hostStream);
  const requests = framesOf(guest);
  const { value: negotiation } = await requests.next();
  assert.equal(negotiation.type, 0x10100b01);
  assert.equal(
    textOf(negotiation),
    `{"ContainerId":"${zero}","ActivityId":"${zero}","MinimumVersion":4,"MaximumVersion":4}\n`,
  );
  send(guest, 0x20100b01, negotiation.sequenceId, negotiated);
  return { host: await connecting, guest, requests };
}

test('the host writes what an upstream guest reads', async () => {
  const { host, guest, requests } = await hostAndGuest();
  const expectRequest = async (
    type: number,
    body: string,
    answer: string,
    work: Promise<unknown>,
  ): Promise<void> => {
    const { value: frame } = await requests.next();
    assert.equal(frame.type, type);
    assert.equal(textOf(frame), `{"ContainerId":"c","ActivityId":"${zero}"${body}}\n`);
    send(guest, 0x20000000 | (type & 0x0fffffff), frame.sequenceId, answer);
    await work;
  };
  await expectRequest(
    0x10100501,
    String.raw`,"Settings":{"ProcessParameters":"{\"CommandArgs\":[\"a<b\"],\"CreateStdOutPipe\":true}","VsockStdioRelaySettings":{"StdOut":1073741825}}`,
    '{"Result":0,"ProcessId":3}',
    host.executeProcess(
      'c',
      { CommandArgs: ['a<b'], CreateStdOutPipe: true },
      { StdOut: host.allocatePort() },
    ),
  );
  await expectRequest(
    0x10100601,
    ',"ProcessId":3,"TimeoutInMs":4294967295',
    '{"Result":0,"ExitCode":0}',
    host.waitForProcess('c', 3),
  );
  await expectRequest(0x10100701, ',"ProcessId":3', '{"Result":0}', host.signalProcess('c', 3));
  await expectRequest(
    0x10100701,
    ',"ProcessId":3,"Options":{"Signal":15}',
    '{"Result":0}',
    host.signalProcess('c', 3, 15),
  );
  await expectRequest(
    0x10100801,
    ',"ProcessId":3,"Height":24,"Width":80',
    '{"Result":0}',
    host.resizeConsole('c', 3, { width: 80, height: 24 }),
  );
  await expectRequest(
    0x10100901,
    String.raw`,"Query":"{\"PropertyTypes\":[\"Statistics\"]}"`,
    String.raw`{"Result":0,"Properties":"{\"LCOWMetrics\":{\"pids\":{\"current\":1}}}"}`,
    host.getProperties('c', ['Statistics']),
  );
  await expectRequest(
    0x10100a01,
    ',"Request":{"RequestType":"Update","ResourceType":"ContainerConstraints","Settings":{"Linux":{}}}',
    '{"Result":0}',
    host.modifySettings(
      { RequestType: 'Update', ResourceType: 'ContainerConstraints', Settings: { Linux: {} } },
      { containerId: 'c' },
    ),
  );
  await expectRequest(0x10100301, '', '{"Result":0}', host.shutdownContainer('c', 'graceful'));
  await expectRequest(
    0x10100401,
    '',
    '{"Result":-1070137074,"ErrorMessage":"gone"}',
    host.shutdownContainer('c', 'forced'),
  );
  await expectRequest(0x10100d01, '', '{"Result":0,"ErrorRecords":null}', host.deleteContainerState('c'));
});

test('the host takes answers in any order', async () => {
  const { host, guest, requests } = await hostAndGuest();
  const waits = [host.waitForProcess('c', 1), host.waitForProcess('c', 2), host.waitForProcess('c', 3)];
  const ids: bigint[] = [];
  for (const _ of waits) ids.push((await requests.next()).value.sequenceId);
  for (const index of [1, 2, 0])
    send(guest, 0x20100601, ids[index] ?? 0n, `{"Result":0,"ExitCode":${index}}`);
  assert.deepEqual(await Promise.all(waits), [0, 1, 2]);
});

test('an exit of a container that is not known is no reason to end', async () => {
  const { host, guest, requests } = await hostAndGuest();
  send(
    guest,
    0x30100101,
    0n,
    `{"ContainerId":"x","ActivityId":"${zero}","Type":"ForcedExit","Operation":"None","Result":0}`,
  );
  const stacks = host.dumpStacks();
  send(guest, 0x20100c01, (await requests.next()).value.sequenceId, '{"Result":0,"GuestStacks":"alive"}');
  assert.equal(await stacks, 'alive');
});

const breaches: [string, (guest: Duplex) => void, RegExp][] = [
  [
    'an answer to nothing',
    (guest) => send(guest, 0x20100c01, 99n, '{"Result":0}'),
    /request 99, which was not asked/,
  ],
  [
    'an answer of the wrong kind',
    (guest) => send(guest, 0x20100101, 1n, '{"Result":0}'),
    /which was not asked/,
  ],
  ['an answer that is not JSON', (guest) => send(guest, 0x20100c01, 1n, '{"Result'), /its body is not JSON/],
  [
    'an answer that is not UTF-8',
    (guest) =>
      void guest.write(encodeFrame({ type: 0x20100c01, sequenceId: 1n, body: Buffer.from('22ff22', 'hex') })),
    /its body is not JSON/,
  ],
  [
    'an answer that does not fit',
    (guest) => send(guest, 0x20100c01, 1n, '{"Result":"no"}'),
    /field "Result" must be a number/,
  ],
  ['a request', (guest) => send(guest, 0x10100c01, 1n, '{}'), /unknown kind, type 0x10100c01/],
  [
    'another notification',
    (guest) => send(guest, 0x30100201, 0n, '{}'),
    /unknown notification, type 0x30100201/,
  ],
  [
    'a frame that is too large',
    (guest) => void guest.write(Buffer.from('010c1020010001000100000000000000', 'hex')),
    /65537 bytes/,
  ],
  ['half a frame', (guest) => void guest.end(Buffer.from('010c102020', 'hex')), /after 5 of the 16 bytes/],
];

for (const [name, breach, words] of breaches) {
  test(`${name} ends the host's connection`, async () => {
    const { host, guest, requests } = await hostAndGuest();
    const stacks = host.dumpStacks();
    await requests.next();
    breach(guest);
    await assert.rejects(stacks, (error: Error) => {
      assert.ok(isHcsError(error, 'HCS_E_CONNECTION_CLOSED'));
      assert.match((error.cause as Error).message, words);
      return true;
    });
    assert.match((await host.closed)?.message ?? '', words);
  });
}

test('connecting to a guest of another version fails', async () => {
  const [hostStream, guest] = pair();
  const connecting = GuestConnection.connect(hostStream);
  const { value: frame } = await framesOf(guest).next();
  send(guest, 0x20100b01, frame.sequenceId, '{"Result":0,"Version":3,"Capabilities":{}}');
  await assert.rejects(connecting, (error: Error) => isHcsError(error, 'HCS_E_UNSUPPORTED_PROTOCOL_VERSION'));
  assert.ok(hostStream.destroyed);
});

test('connecting is given up by the signal', async () => {
  const [hostStream] = pair();
  const giveUp = new AbortController();
  const connecting = GuestConnection.connect(hostStream, { signal: giveUp.signal });
  giveUp.abort(new Error('enough'));
  await assert.rejects(connecting, /enough/);
  assert.ok(hostStream.destroyed);
});

/** A guest of ours, connected to a host that the test plays. */
async function guestAndHost(): Promise<{
  host: Duplex;
  served: Promise<void>;
  server: BridgeServer;
  ask: (type: number, body: string) => Promise<{ type: number; body: Record<string, unknown> }>;
}> {
  const [host, guestStream] = pair();
  const server = new BridgeServer();
  const served = server.serve(guestStream, {
    DumpStacks: async () => ({ GuestStacks: 'main' }),
    Create: async () => {},
  });
  served.catch(() => {});
  const responses = framesOf(host);
  let last = 41n;
  const ask = async (
    type: number,
    body: string,
  ): Promise<{ type: number; body: Record<string, unknown> }> => {
    send(host, type, ++last, body);
    const { value: frame } = await responses.next();
    assert.equal(frame.sequenceId, last);
    return { type: frame.type, body: JSON.parse(textOf(frame)) };
  };
  return { host, served, server, ask };
}

const activity = '0f8fad5b-d9cb-469f-a165-70867728950e';
const negotiation = (from: number, to: number): string =>
  `{"ContainerId":"${zero}","ActivityId":"${activity}","MinimumVersion":${from},"MaximumVersion":${to}}\n`;

test('the guest negotiates as upstream’s does, and echoes the activity', async () => {
  const { ask } = await guestAndHost();
  const { type, body } = await ask(0x10100b01, negotiation(4, 5));
  assert.equal(type, 0x20100b01);
  assert.deepEqual(body, { ...JSON.parse(negotiated), ActivityId: activity });
});

test('the guest knows nothing before the protocol is negotiated', async () => {
  const { ask } = await guestAndHost();
  const { type, body } = await ask(0x10100c01, `{"ContainerId":"${zero}"}`);
  assert.equal(type, 0x20100c01);
  assert.equal(body.Result, 0xc037010b | 0);
});

test('the guest refuses versions that it does not speak', async () => {
  const { ask } = await guestAndHost();
  for (const range of [negotiation(1, 3), negotiation(5, 9)]) {
    assert.equal((await ask(0x10100b01, range)).body.Result, 0xc037010c | 0);
  }
  assert.equal((await ask(0x10100b01, negotiation(1, 9))).body.Result, 0);
});

test('the guest answers what it does not understand', async () => {
  const { ask } = await guestAndHost();
  await ask(0x10100b01, negotiation(4, 4));
  const unknown = await ask(0x10100e01, `{"ContainerId":"${zero}","ActivityId":"${activity}"}`);
  assert.equal(unknown.type, 0x20100e01);
  assert.equal(unknown.body.Result, 0xc037010b | 0);
  assert.equal(unknown.body.ActivityId, activity);
  assert.equal((await ask(0x10100101, 'not json')).body.Result, 0xc037010d | 0);
  assert.equal((await ask(0x10100101, 'null')).body.Result, 0xc037010d | 0);
  const missing = await ask(0x10100101, `{"ContainerId":"c"}`);
  assert.match(String(missing.body.ErrorMessage), /field "ContainerConfig" is missing/);
  assert.equal((await ask(0x10100c01, `{"ContainerId":"${zero}"}`)).body.GuestStacks, 'main');
});

test('the guest spells errors as upstream’s does', async () => {
  const [host, guestStream] = pair();
  const codes = {
    HCS_E_SYSTEM_NOT_FOUND: 0xc037010e,
    HCS_E_SYSTEM_ALREADY_EXISTS: 0xc037010f,
    HCS_E_SYSTEM_ALREADY_STOPPED: 0xc0370110,
    HCS_E_INVALID_STATE: 0x80370105,
    ERROR_NOT_FOUND: 0x80070490,
    E_FAIL: 0x80004005,
  } as const;
  const served = new BridgeServer().serve(guestStream, {
    async Start({ ContainerId: code }) {
      throw new HcsError({ action: 'Cannot start', problem: 'no', code: code as keyof typeof codes });
    },
  });
  const responses = framesOf(host);
  send(host, 0x10100b01, 0n, negotiation(4, 4));
  await responses.next();
  for (const [code, result] of Object.entries(codes)) {
    send(host, 0x10100201, 1n, `{"ContainerId":"${code}"}`);
    assert.equal(JSON.parse(textOf((await responses.next()).value)).Result, result | 0, code);
  }
  host.end();
  await served;
});

test('a notification of the guest has the form that upstream’s host reads', async () => {
  const { host, server } = await guestAndHost();
  await server.publish({ ContainerId: 'c', Type: 'UnexpectedExit', Operation: 'None', Result: 0 });
  const { value: frame } = await framesOf(host).next();
  assert.equal(frame.type, 0x30100101);
  assert.equal(frame.sequenceId, 0n);
  assert.deepEqual(JSON.parse(textOf(frame)), {
    ContainerId: 'c',
    ActivityId: zero,
    Type: 'UnexpectedExit',
    Operation: 'None',
    Result: 0,
  });
});

test('the guest ends when the host closes, and says so when that was inside a frame', async () => {
  const clean = await guestAndHost();
  clean.host.end();
  await clean.served;
  const cut = await guestAndHost();
  cut.host.end(Buffer.from('010c', 'hex'));
  await assert.rejects(cut.served, /after 2 of the 16 bytes/);
});

test('the guest ends at a frame that is no request or too large', async () => {
  const response = await guestAndHost();
  send(response.host, 0x20100c01, 1n, '{}');
  await assert.rejects(response.served, /which is no request/);
  const large = await guestAndHost();
  large.host.write(Buffer.from('010c1010010000010100000000000000', 'hex'));
  await assert.rejects(large.served, (error: Error) => isHcsError(error, 'HCS_E_PROTOCOL_ERROR'));
});
