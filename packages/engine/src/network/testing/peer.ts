import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { inNetworkNamespace, openNetworkNamespace } from '@hcsshim/linux/netlink';

/** How long an answer may take, and how long one that shall not come is waited for. In milliseconds. */
const patience = 15_000;
const silence = 1_000;

/** A process in a network namespace: a child starts where the thread is that starts it. Undefined is the host. */
function spawnIn(namespacePath: string | undefined, source: string, args: string[]): ChildProcess {
  const start = (): ChildProcess =>
    spawn(process.execPath, ['--input-type=module', '-e', source, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  if (namespacePath === undefined) return start();
  const fd = openNetworkNamespace(namespacePath);
  try {
    return inNetworkNamespace(fd, start);
  } finally {
    closeSync(fd);
  }
}

const serverSource = `
  import { createServer } from 'node:net';
  const [, name, port] = process.argv;
  createServer((socket) => {
    socket.on('error', () => {});
    socket.end(name + ' hears ' + socket.remoteAddress);
  }).listen(Number(port), '0.0.0.0', () => console.log('listening'));`;

/** A server that answers each connection with its name and the address that it came from. */
export async function serve(name: string, port: number, namespacePath?: string): Promise<AsyncDisposable> {
  const child = spawnIn(namespacePath, serverSource, [name, String(port)]);
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

const clientSource = `
  import { connect } from 'node:net';
  const [, host, port, patience] = process.argv;
  const socket = connect({ host, port: Number(port) });
  const end = (answer) => { console.log(answer); process.exit(); };
  setTimeout(() => end('no answer'), Number(patience));
  socket.on('data', (bytes) => end(String(bytes)));
  socket.on('error', (error) => end(error.code));`;

/** What a server says, or the code of the error when there is no connection; `no answer` when there is silence. */
export async function ask(address: string, port: number, namespacePath?: string): Promise<string> {
  return askFor(patience, address, port, namespacePath);
}

/** Whether nobody answers: the connection is neither made nor refused. */
export async function isSwallowed(address: string, port: number, namespacePath?: string): Promise<boolean> {
  return (await askFor(silence, address, port, namespacePath)) === 'no answer';
}

async function askFor(time: number, address: string, port: number, path?: string): Promise<string> {
  const child = spawnIn(path, clientSource, [address, String(port), String(time)]);
  return (await text(child.stdout as NonNullable<typeof child.stdout>)).trim();
}
