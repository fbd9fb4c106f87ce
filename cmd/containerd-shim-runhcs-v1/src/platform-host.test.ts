import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Log, type LogLevel } from './log.ts';
import { containerRoot, logReceivers, PlatformHost } from './platform-host.ts';

const request = { id: 'x', bundle: '/run/bundle', rootfs: [] };
const mount = { type: 'bind', source: '/a', options: ['ro'] };

test("a root without mounts is the spec's, as seen from the bundle", () => {
  const rootOf = (path?: string) => {
    const spec = { ociVersion: '1.0.2', ...(path === undefined ? {} : { root: { path } }) };
    return containerRoot({ ...request, spec });
  };
  assert.deepEqual(rootOf(), { image: '/run/bundle/rootfs' });
  assert.deepEqual(rootOf('root'), { image: '/run/bundle/root' });
  assert.deepEqual(rootOf('/srv/root'), { image: '/srv/root' });
  const mounted = { ...request, spec: { ociVersion: '1.0.2', root: { path: 'rootfs' } }, rootfs: [mount] };
  assert.deepEqual(containerRoot(mounted), { rootMounts: [mount] });
});

test('an expectation that cannot be met is told by create alone, in words', async (t) => {
  const before = process.env.HCSSHIM_STATE;
  t.after(() => {
    if (before === undefined) delete process.env.HCSSHIM_STATE;
    else process.env.HCSSHIM_STATE = before;
  });
  process.env.HCSSHIM_STATE = `/tmp/${'x'.repeat(90)}`;
  const annotations = { 'io.hcsshim.engine': 'sandbox' };
  await using host = new PlatformHost(new Log(2, {}, 'error'));
  await host.expect('x', annotations);
  await assert.rejects(host.create({ ...request, spec: { ociVersion: '1.0.2', annotations } }, {}), {
    message: /bytes too long for unix sockets/,
  });
});

/** What the shim's log has at `level` of a sentence of the engine and a line of a guest. */
function logged(level: LogLevel, guestLine: string): Record<string, unknown>[] {
  const directory = mkdtempSync(join(tmpdir(), 'shim-platform-'));
  const path = join(directory, 'log');
  const fd = openSync(path, 'w');
  try {
    const { log, guestLog } = logReceivers(new Log(fd, {}, level));
    log('KVM does not work here');
    guestLog('x@vm', guestLine);
    return readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  } finally {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  }
}

test("the engine's sentences are in the log, with debug also the guests' lines", () => {
  const [sentence, ...rest] = logged('info', '{"msg":"hello"}');
  assert.equal(sentence?.msg, 'KVM does not work here');
  assert.equal(sentence?.level, 'info');
  assert.deepEqual(rest, []);
  const line = logged('debug', '{"msg":"hello"}')[1];
  assert.equal(line?.level, 'debug');
  assert.equal(line?.vm, 'x@vm');
  assert.equal(line?.line, '{"msg":"hello"}');
});

test('a long line of a guest is cut to 4 KiB, between two characters', () => {
  const line = logged('debug', `a${'é'.repeat(3000)}`)[1];
  assert.equal(line?.line, `a${'é'.repeat(2047)}`);
});
