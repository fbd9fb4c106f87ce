import type { Duplex } from 'node:stream';
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { TtrpcError } from './error.ts';
import type { Metadata } from './metadata.ts';

/** What a handler knows of its call beside the request. */
export interface CallContext {
  /**
   * Aborts with a TtrpcError at the call's deadline (DeadlineExceeded) and when the connection is lost or the
   * server closed (Canceled). The answer of a handler that goes on after that is dropped.
   */
  readonly signal: AbortSignal;
  readonly metadata: Metadata;
  /** The stream that the call came over: the same object for all calls of one connection. */
  readonly peer: Duplex;
}

type Answer<O extends DescMessage> = MessageInitShape<O>;

export type UnaryHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => Promise<Answer<O>> | Answer<O>;

export type ClientStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  context: CallContext,
) => Promise<Answer<O>> | Answer<O>;

export type ServerStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  context: CallContext,
) => AsyncIterable<Answer<O>>;

export type BidiStreamingHandler<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  context: CallContext,
) => AsyncIterable<Answer<O>>;

/** Handlers by the names of their methods in lower camel case. A method without one answers Unimplemented. */
export type ServiceImplementation<S extends DescService> = {
  [K in keyof S['method']]?: S['method'][K] extends DescMethodUnary<infer I, infer O>
    ? UnaryHandler<I, O>
    : S['method'][K] extends DescMethodServerStreaming<infer I, infer O>
      ? ServerStreamingHandler<I, O>
      : S['method'][K] extends DescMethodClientStreaming<infer I, infer O>
        ? ClientStreamingHandler<I, O>
        : S['method'][K] extends DescMethodBiDiStreaming<infer I, infer O>
          ? BidiStreamingHandler<I, O>
          : never;
};

/** A method that is served. The types of its handler were checked when it was registered. */
export interface ServedMethod {
  readonly descriptor: DescMethod;
  readonly handler: (request: unknown, context: CallContext) => unknown;
}

/** The services of a server, by the names that requests have. */
export class ServiceTable {
  readonly #services = new Map<string, Map<string, ServedMethod>>();

  /** Throws AlreadyExists for a service that is there. */
  add<S extends DescService>(service: S, implementation: ServiceImplementation<S>): void {
    if (this.#services.has(service.typeName))
      throw new TtrpcError(
        'AlreadyExists',
        `Cannot register "${service.typeName}": it is registered already`,
      );
    const handlers = implementation as Record<string, ServedMethod['handler'] | undefined>;
    const methods = new Map<string, ServedMethod>();
    for (const descriptor of service.methods) {
      const handler = handlers[descriptor.localName]?.bind(implementation);
      if (handler) methods.set(descriptor.name, { descriptor, handler });
    }
    this.#services.set(service.typeName, methods);
  }

  /** Throws Unimplemented for a method that nobody serves. */
  find(service: string, method: string): ServedMethod {
    const methods = this.#services.get(service);
    if (methods === undefined)
      throw new TtrpcError('Unimplemented', `Cannot call "${service}/${method}": there is no such service`);
    const served = methods.get(method);
    if (served === undefined)
      throw new TtrpcError('Unimplemented', `Cannot call "${service}/${method}": there is no such method`);
    return served;
  }
}
