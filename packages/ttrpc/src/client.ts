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
import type { CallOptions } from './client-call.ts';
import type { TtrpcConnection } from './connection.ts';

/** The methods of a service, by their names in lower camel case, as functions that call them. */
export type Client<S extends DescService> = {
  [K in keyof S['method']]: S['method'][K] extends DescMethodUnary<infer I, infer O>
    ? UnaryFunction<I, O>
    : S['method'][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncGenerator<MessageShape<O>, void>
      : S['method'][K] extends DescMethodClientStreaming<infer I, infer O>
        ? (requests: AsyncIterable<MessageInitShape<I>>, options?: CallOptions) => Promise<MessageShape<O>>
        : S['method'][K] extends DescMethodBiDiStreaming<infer I, infer O>
          ? (
              requests: AsyncIterable<MessageInitShape<I>>,
              options?: CallOptions,
            ) => AsyncGenerator<MessageShape<O>, void>
          : never;
};

type UnaryFunction<I extends DescMessage, O extends DescMessage> = (
  request: MessageInitShape<I>,
  options?: CallOptions,
) => Promise<MessageShape<O>>;

/** A client of one service. Any number of clients can share a connection. */
export function createClient<S extends DescService>(service: S, connection: TtrpcConnection): Client<S> {
  const client: Record<string, unknown> = {};
  for (const method of service.methods) {
    client[method.localName] = callWith(connection, method);
  }
  return client as Client<S>;
}

function callWith(connection: TtrpcConnection, method: DescMethod): unknown {
  switch (method.methodKind) {
    case 'unary':
      return (request: Record<string, unknown>, options?: CallOptions) =>
        connection.unary(method as DescMethodUnary, request, options);
    case 'server_streaming':
      return (request: Record<string, unknown>, options?: CallOptions) =>
        connection.serverStreaming(method as DescMethodServerStreaming, request, options);
    case 'client_streaming':
      return (requests: AsyncIterable<Record<string, unknown>>, options?: CallOptions) =>
        connection.clientStreaming(method as DescMethodClientStreaming, requests, options);
    case 'bidi_streaming':
      return (requests: AsyncIterable<Record<string, unknown>>, options?: CallOptions) =>
        connection.bidiStreaming(method as DescMethodBiDiStreaming, requests, options);
  }
}
