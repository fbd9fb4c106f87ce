import { once } from 'node:events';
import type { Socket } from 'node:net';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

const headerLength = 10;
const frameType = { request: 1, response: 2 } as const;

/** A TTRPC client that may send what no client should. Written from the protocol, not with our own codec. */
export class RawTtrpc {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
  }

  /** Resolves when the kernel has taken the bytes. */
  async send(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve())),
    );
  }

  /** Announces a request of that length. */
  sendHeader(stream: number, length: number): void {
    this.#socket.write(header(stream, frameType.request, length));
  }

  async sendFrame(stream: number, type: number, body: Uint8Array): Promise<void> {
    await this.send(Buffer.concat([header(stream, type, body.length), body]));
  }

  /** A request whose message has an id as its first field, as all of the task service have. */
  async call(stream: number, service: string, method: string, id: string): Promise<void> {
    const payload = new BinaryWriter().tag(1, 2).string(id).finish();
    const request = new BinaryWriter().tag(1, 2).string(service).tag(2, 2).string(method);
    await this.sendFrame(stream, frameType.request, request.tag(3, 2).bytes(payload).finish());
  }

  /** The gRPC status code of the next response, 0 for one without an error. */
  async nextStatus(): Promise<{ stream: number; code: number }> {
    while (!this.#hasFrame()) await once(this.#socket, 'data', { signal: AbortSignal.timeout(30_000) });
    const end = headerLength + this.#received.readUInt32BE(0);
    const stream = this.#received.readUInt32BE(4);
    const body = this.#received.subarray(headerLength, end);
    this.#received = this.#received.subarray(end);
    return { stream, code: statusCode(body) };
  }

  async leave(): Promise<void> {
    const closed = once(this.#socket, 'close');
    this.#socket.destroy();
    await closed;
  }

  #hasFrame(): boolean {
    const { length } = this.#received;
    return length >= headerLength && length >= headerLength + this.#received.readUInt32BE(0);
  }
}

function header(stream: number, type: number, length: number): Buffer {
  const bytes = Buffer.alloc(headerLength);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(stream, 4);
  bytes[8] = type;
  return bytes;
}

/** `Response.status.code`: field 1 of field 1. */
function statusCode(response: Uint8Array): number {
  const status = firstField(response);
  if (!status) return 0;
  const reader = new BinaryReader(status);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) return reader.int32();
    reader.skip(wireType);
  }
  return 0;
}

function firstField(message: Uint8Array): Uint8Array | undefined {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) return reader.bytes();
    reader.skip(wireType);
  }
  return undefined;
}
