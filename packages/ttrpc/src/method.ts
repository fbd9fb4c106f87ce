import type { DescMethod } from '@bufbuild/protobuf';

/** `package.Service/Method`, for messages to people. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** Whether a call has a stream of requests. */
export function clientStreams(method: DescMethod): boolean {
  return method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming';
}

/** Whether a call has a stream of answers. */
export function serverStreams(method: DescMethod): boolean {
  return method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming';
}
