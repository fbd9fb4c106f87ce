import type { Dll } from '../procedure.ts';
import { advapi32 } from './advapi32.ts';
import { bindfltapi } from './bindfltapi.ts';
import { cfgmgr32 } from './cfgmgr32.ts';
import { cimfs } from './cimfs.ts';
import { com } from './com.ts';
import { computecore } from './computecore.ts';
import { computenetwork } from './computenetwork.ts';
import { computestorage } from './computestorage.ts';
import { iphlpapi } from './iphlpapi.ts';
import { kernel32 } from './kernel32.ts';
import { netapi32 } from './netapi32.ts';
import { node } from './node.ts';
import { ntdll } from './ntdll.ts';
import { offreg } from './offreg.ts';
import { virtdisk } from './virtdisk.ts';
import { vmcompute } from './vmcompute.ts';
import { winsock } from './winsock.ts';

export {
  advapi32,
  bindfltapi,
  cfgmgr32,
  cimfs,
  com,
  computecore,
  computenetwork,
  computestorage,
  iphlpapi,
  kernel32,
  netapi32,
  node,
  ntdll,
  offreg,
  virtdisk,
  vmcompute,
  winsock,
};

/** Every DLL that this package calls, the Host Compute Service's own first. */
export const dlls: readonly Dll[] = [
  computecore,
  vmcompute,
  computestorage,
  computenetwork,
  virtdisk,
  kernel32,
  advapi32,
  ntdll,
  cfgmgr32,
  netapi32,
  iphlpapi,
  winsock,
  offreg,
  cimfs,
  bindfltapi,
  com,
  node,
];
