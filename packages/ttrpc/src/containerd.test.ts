import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as netConnect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import { Events } from './generated/containerd_events_pb.ts';
import { createClient, TtrpcConnection } from './index.ts';

test('containerd takes events, refuses bad ones, and keeps the connection', {
  skip: cannotRun(),
}, async () => {
  await using containerd = await startContainerd();
  await using connection = new TtrpcConnection(containerd.socket);
  const events = createClient(Events, connection);
  const envelope = {
    timestamp: timestampNow(),
    namespace: 'default',
    topic: '/tasks/oom',
    event: { typeUrl: 'containerd.events.TaskOOM', value: Uint8Array.of(0x0a, 1, 0x61) },
  };
  await events.forward({ envelope }, { timeoutMs: 30_000 });
  await assert.rejects(events.forward({ envelope: { ...envelope, topic: '' } }), { code: 'InvalidArgument' });
  await assert.rejects(events.backward({}), { code: 'Unimplemented' });
  const calls = Array.from({ length: 50 }, () => events.forward({ envelope }, { timeoutMs: 30_000 }));
  assert.equal((await Promise.all(calls)).length, 50);
});

function cannotRun(): string | false {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'containerd needs Linux and root';
  try {
    execFileSync('containerd', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'containerd is not installed';
  }
}

/** A containerd of our own that does nothing but serve its API. */
async function startContainerd(): Promise<AsyncDisposable & { socket: Socket }> {
  const folder = await mkdtemp(join(tmpdir(), 'hcsshim-containerd-'));
  const path = join(folder, 'ttrpc.sock');
  await writeFile(join(folder, 'config.toml'), configuration(folder, path));
  const process = spawn('containerd', ['--config', join(folder, 'config.toml')], { stdio: 'ignore' });
  const exited = once(process, 'exit');
  const stop = async (): Promise<void> => {
    process.kill('SIGTERM');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { socket: await connectWhenReady(path, process), [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function connectWhenReady(path: string, process: ChildProcess): Promise<Socket> {
  for (let attempt = 0; attempt < 600 && process.exitCode === null; attempt++) {
    const socket = netConnect(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      await sleep(100);
    }
  }
  throw new Error(
    `Cannot reach containerd: it does not listen on "${path}", its exit code is ${process.exitCode}`,
  );
}

/** Plugins that look at the machine or keep state elsewhere are left out. */
function configuration(folder: string, ttrpc: string): string {
  const disabled = ['cri', 'btrfs', 'zfs', 'devmapper', 'aufs', 'native', 'overlayfs']
    .map((name) => `"io.containerd.${name === 'cri' ? 'grpc' : 'snapshotter'}.v1.${name}"`)
    .join(', ');
  return `version = 2
root = "${join(folder, 'root')}"
state = "${join(folder, 'state')}"
disabled_plugins = [${disabled}, "io.containerd.internal.v1.opt"]
[grpc]
address = "${join(folder, 'grpc.sock')}"
[ttrpc]
address = "${ttrpc}"
`;
}
