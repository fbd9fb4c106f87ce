import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistry, fromBinary, type Message } from '@bufbuild/protobuf';
import { TtrpcServer } from '@hcsshim/ttrpc';
import { type Envelope, Events } from './generated/containerd/events/v1/forward_pb.ts';
import { file_containerd_events_v1_task_events } from './generated/containerd/events/v1/task_events_pb.ts';

const registry = createRegistry(file_containerd_events_v1_task_events);

/** containerd's end of the event service: a real TTRPC server that keeps what it is sent. */
export class EventSink implements AsyncDisposable {
  readonly address: string;
  readonly envelopes: Envelope[] = [];
  /** Called before an event is taken; may wait, or refuse by throwing. */
  onForward: (envelope: Envelope, attempt: number) => Promise<void> = async () => {};
  readonly #directory = mkdtempSync(join(tmpdir(), 'shim-events-'));
  #attempts = 0;
  #server: TtrpcServer | undefined;

  constructor() {
    this.address = join(this.#directory, 'ttrpc.sock');
  }

  static async open(): Promise<EventSink> {
    const sink = new EventSink();
    await sink.listen();
    return sink;
  }

  /** `['/tasks/create', '/tasks/start', …]` in the order of arrival. */
  get topics(): string[] {
    return this.envelopes.map(({ topic }) => topic);
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** The message of the last event with this topic. */
  event(topic: string): Message & Record<string, unknown> {
    const any = this.envelopes.findLast((envelope) => envelope.topic === topic)?.event;
    const schema = any && registry.getMessage(any.typeUrl);
    if (!schema) throw new Error(`No event "${topic}" has arrived, or its type is unknown`);
    return fromBinary(schema, any.value) as Message & Record<string, unknown>;
  }

  async listen(): Promise<void> {
    const server = new TtrpcServer();
    server.register(Events, {
      forward: async ({ envelope }) => {
        if (!envelope) throw new Error('No envelope');
        await this.onForward(envelope, ++this.#attempts);
        this.envelopes.push(envelope);
        return {};
      },
    });
    const listener: Server = createServer();
    server.listen(listener);
    await new Promise<void>((resolve) => listener.listen(this.address, resolve));
    this.#server = server;
  }

  /** Drops its connections and takes no more, as a containerd that was killed. */
  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
