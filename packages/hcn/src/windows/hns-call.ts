import { bind, vmcompute } from '@hcsshim/windows';

/** One request to the Host Network Service, version 1: method, path, JSON or ''; gives JSON. */
export type HnsCall = (method: HnsMethod, path: string, body: string) => Promise<string | null>;

export type HnsMethod = 'GET' | 'POST' | 'DELETE';

/** Through `vmcompute.dll`. */
export const windowsHnsCall: HnsCall = async (method, path, body) => {
  const { response } = await bind(vmcompute).HNSCall({ method, path, object: body });
  return response;
};
