export * from './compute-system.ts';
export * as read from './document-reader.ts';
export { parseDocument, readDocument } from './document-reader.ts';
export * from './guest-messages.ts';
export * from './guest-resources.ts';
export * from './hresult.ts';
export * from './oci.ts';
export * from './result-predicates.ts';
export * from './wait-constants.ts';
