/**
 * The least that passes for a guest agent: dials the host's bridge port, answers a greeting with protocol
 * version 4, echoes on guest port 7, goes at SIGTERM.
 */
import { readlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const bridgePort = 0x40000000;
const negotiateResponse = 0x20100b01;
const headerBytes = 16;
const retryInterval = 5;

const directory = process.argv[process.argv.indexOf('--sandbox') + 1];
process.on('SIGTERM', () => process.exit(0));

// What a test wants to know of the world that the agent sees.
writeFileSync(
  join(directory, 'agent.json'),
  JSON.stringify({
    pid: process.pid,
    namespaces: Object.fromEntries(
      ['mnt', 'pid', 'uts', 'ipc', 'net'].map((name) => [name, readlinkSync(`/proc/self/ns/${name}`)]),
    ),
    arguments: process.argv.slice(2),
  }),
);

createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(join(directory, 'guest', '7'));
dial();

function dial() {
  const socket = connect(join(directory, 'hvsocket', String(bridgePort)));
  socket.on('error', () => setTimeout(dial, retryInterval));
  socket.on('data', (frame) => {
    const body = Buffer.from(JSON.stringify({ Result: 0, Version: 4 }));
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32LE(negotiateResponse, 0);
    header.writeUInt32LE(headerBytes + body.length, 4);
    frame.copy(header, 8, 8, headerBytes);
    socket.write(Buffer.concat([header, body]));
  });
}
