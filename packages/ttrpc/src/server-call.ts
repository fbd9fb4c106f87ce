import type { Duplex } from 'node:stream';
import type { TtrpcError } from './error.ts';
import type { Inbox } from './inbox.ts';
import type { Metadata } from './metadata.ts';
import type { CallContext } from './service.ts';

/**
 * A call as the server holds it, from the request until the handler has returned. It is the handler's context.
 *
 *     open ──answer, error──► answered
 *       └──deadline, connection lost, broken rules──► aborted
 *
 * Only what an open call has to say is sent.
 */
export class ServerCall implements CallContext {
  readonly streamId: number;
  readonly name: string;
  readonly metadata: Metadata;
  readonly peer: Duplex;
  /** Where the requests of a stream wait. */
  inbox: Inbox | undefined;
  timer: NodeJS.Timeout | undefined;
  #state: 'open' | 'answered' | 'aborted' = 'open';
  #reason: TtrpcError | undefined;
  #controller: AbortController | undefined;

  constructor(streamId: number, name: string, metadata: Metadata, peer: Duplex) {
    this.streamId = streamId;
    this.name = name;
    this.metadata = metadata;
    this.peer = peer;
  }

  /** Made when it is first asked for: most handlers never do, and it costs more than the rest of the call. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#state === 'aborted') this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** The client has its answer. */
  answered(): void {
    if (this.#state !== 'open') return;
    this.#state = 'answered';
    clearTimeout(this.timer);
    this.inbox?.end();
  }

  abort(reason: TtrpcError): void {
    if (this.#state !== 'open') return;
    this.#state = 'aborted';
    this.#reason = reason;
    clearTimeout(this.timer);
    this.inbox?.abort(reason);
    this.#controller?.abort(reason);
  }
}
