export * from './compute-system.ts';
export * from './hresult.ts';
export * from './oci.ts';
