export { type Client, createClient } from './client.ts';
export type { CallOptions } from './client-call.ts';
export { type ConnectionOptions, TtrpcConnection } from './connection.ts';
export { type ErrorDetail, TtrpcError, type TtrpcErrorOptions } from './error.ts';
export { messageLimit } from './limit.ts';
export type { Metadata, MetadataInit } from './metadata.ts';
export { type ServerOptions, TtrpcServer } from './server.ts';
export type {
  BidiStreamingHandler,
  CallContext,
  ClientStreamingHandler,
  ServerStreamingHandler,
  ServiceImplementation,
  UnaryHandler,
} from './service.ts';
export { type ErrorCode, StatusCode, type StatusCodeName } from './status.ts';
