import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { bind, type Dll, type Handle, kernel32, streamFromHandle } from '@hcsshim/windows';

const files = {
  file: 'kernel32.dll',
  build: 0,
  source: 'fileapi.h',
  procedures: {
    CreateFileW: {
      returns: 'HANDLE',
      parameters: {
        name: 'PCWSTR',
        access: 'DWORD',
        share: 'DWORD',
        attributes: 'memory SECURITY_ATTRIBUTES',
        disposition: 'DWORD',
        flags: 'DWORD',
        template: 'HANDLE?',
      },
      immediate: true,
      purpose: 'Open a pipe',
    },
  },
} as const satisfies Dll;

const readAndWrite = 0xc0000000;
const openExisting = 3;
const overlapped = 0x40000000;

function pipe(): { readPipe: Handle<'HANDLE'>; writePipe: Handle<'HANDLE'> } {
  return bind(kernel32).CreatePipe({ attributes: null, size: 0 });
}

describe('a stream over a handle', () => {
  test('carries both ways over a pipe that was opened for overlapped calls', async () => {
    const name = `\\\\.\\pipe\\hcsshim-test-${process.pid}`;
    await using server = createServer().listen(name);
    await once(server, 'listening');
    const accepting = once(server, 'connection') as Promise<[Socket]>;
    const handle = bind(files).CreateFileW({
      name,
      access: readAndWrite,
      share: 0,
      attributes: null,
      disposition: openExisting,
      flags: overlapped,
    });
    const stream = streamFromHandle(handle, { readable: true, writable: true });
    const [socket] = await accepting;
    stream.write('there');
    assert.equal(String((await once(socket, 'data'))[0]), 'there');
    socket.end('and back');
    assert.equal(await text(stream), 'and back');
  });

  test('carries many bytes through an anonymous pipe, and ends with the writer', async () => {
    const { readPipe, writePipe } = pipe();
    const reader = streamFromHandle(readPipe, { readable: true, writable: false });
    const writer = streamFromHandle(writePipe, { readable: false, writable: true });
    const bytes = Buffer.alloc(3_000_000, 'héllo');
    writer.end(bytes);
    assert.ok((await buffer(reader)).equals(bytes));
    if (!reader.closed) await once(reader, 'close');
    assert.throws(
      () => bind(kernel32).CloseHandle({ object: readPipe }),
      { status: 6 },
      'closed by the stream',
    );
  });

  test('streams that wait for input leave the threads for calls free', async () => {
    const pipes = Array.from({ length: 6 }, pipe);
    const readers = pipes.map(({ readPipe }) =>
      streamFromHandle(readPipe, { readable: true, writable: false }),
    );
    for (const reader of readers) reader.resume();
    const { totalBytes } = await bind(kernel32).GetDiskFreeSpaceExW({ directoryName: 'C:\\' });
    assert.ok(totalBytes > 0n);
    for (const { writePipe } of pipes) bind(kernel32).CloseHandle({ object: writePipe });
    await Promise.all(readers.map((reader) => (reader.closed ? undefined : once(reader, 'close'))));
  });

  test('of a handle that is closed is refused', () => {
    const { readPipe, writePipe } = pipe();
    bind(kernel32).CloseHandle({ object: readPipe });
    bind(kernel32).CloseHandle({ object: writePipe });
    assert.throws(() => streamFromHandle(readPipe, { readable: true, writable: false }), {
      message: /^Cannot make a stream of handle \d+: it is (closed|not a pipe)/,
    });
  });
});
