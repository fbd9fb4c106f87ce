import { bind } from './bind.ts';
import type { ComputeApi } from './compute-api.ts';
import { computecoreApi } from './computecore-api.ts';
import { computecore } from './dlls/computecore.ts';
import { vmcompute } from './dlls/vmcompute.ts';
import { MissingProcedureError } from './missing-procedure-error.ts';
import { vmcomputeApi } from './vmcompute-api.ts';

/**
 * Throws a MissingProcedureError when this machine lacks a DLL. Each is looked up by a procedure that it has had
 * from its first build on.
 */
export interface ComputeDlls {
  computecore(): unknown;
  vmcompute(): unknown;
}

const ownDlls: ComputeDlls = {
  computecore: () => bind(computecore).HcsCreateOperation,
  vmcompute: () => bind(vmcompute).HcsOpenComputeSystem,
};

/**
 * The Host Compute Service of this Windows: by `computecore.dll`, or where that is missing, as before Windows
 * build 17763, by `vmcompute.dll`. Its `dll` tells which. Where there is neither, a MissingProcedureError that
 * names the newer one.
 */
export function computeApi(dlls: ComputeDlls = ownDlls): ComputeApi {
  try {
    dlls.computecore();
    return computecoreApi;
  } catch (error) {
    if (!(error instanceof MissingProcedureError)) throw error;
    try {
      dlls.vmcompute();
    } catch {
      throw error;
    }
    return vmcomputeApi;
  }
}
