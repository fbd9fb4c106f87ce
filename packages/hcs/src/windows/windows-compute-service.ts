import type { ComputeSystemDocument, ComputeSystemQuery, ComputeSystemSummary } from '@hcsshim/schema';
import { HcsError } from '@hcsshim/schema';
import { checkDocument } from '@hcsshim/schema/hcs';
import { type ComputeApi, computeApi, windowsBuild } from '@hcsshim/windows';
import type { CallOptions, ComputeService, ComputeSystem } from '../compute-service.ts';
import { operationTimeout } from '../operation-timeout.ts';
import { phase } from '../phase.ts';
import { runServiceOperation, serviceCall } from './service-call.ts';
import { WindowsComputeSystem } from './windows-compute-system.ts';

export interface WindowsComputeServiceOptions {
  /** @default `computecore.dll`, or where that is missing `vmcompute.dll` */
  api?: ComputeApi;
}

/**
 * The Host Compute Service of Windows, through `computecore.dll`, or `vmcompute.dll` before build 17763. Nothing
 * is loaded before the first call; where both DLLs are missing that call fails with ERROR_PROC_NOT_FOUND.
 */
export function createWindowsComputeService(options: WindowsComputeServiceOptions = {}): ComputeService {
  return new WindowsComputeService(options.api);
}

class WindowsComputeService implements ComputeService {
  #chosen: ComputeApi | undefined;

  constructor(api: ComputeApi | undefined) {
    this.#chosen = api;
  }

  get #api(): ComputeApi {
    this.#chosen ??= computeApi();
    return this.#chosen;
  }

  async create(
    id: string,
    document: ComputeSystemDocument,
    { signal }: CallOptions = {},
  ): Promise<ComputeSystem> {
    const action = `create compute system "${id}"`;
    const timeout = operationTimeout('SYSTEMCREATE');
    return serviceCall({ action, signal, timeout }, (deadline) =>
      phase('windows: create', id, async () => {
        const build = windowsBuild();
        checkDocument('ComputeSystem', document, build === undefined ? {} : { build });
        const handle = await this.#api.createSystem(id, JSON.stringify(document), {
          action,
          signal: deadline,
          timeout,
        });
        return WindowsComputeSystem.adopt(this.#api, id, handle, { action, timeout }, deadline, {
          isNew: true,
        });
      }),
    );
  }

  async open(id: string, { signal }: CallOptions = {}): Promise<ComputeSystem> {
    const action = `open compute system "${id}"`;
    const timeout = operationTimeout();
    return serviceCall({ action, signal, timeout }, async (deadline) => {
      // No call takes such a string, and so no system can have it for an id.
      if (id.includes('\0')) {
        throw new HcsError({
          action: `Cannot ${action}`,
          problem: 'no system has this id',
          code: 'HCS_E_SYSTEM_NOT_FOUND',
        });
      }
      const handle = await this.#api.openSystem(id, { action, signal: deadline, timeout });
      return WindowsComputeSystem.adopt(this.#api, id, handle, { action, timeout }, deadline);
    });
  }

  async enumerate(
    query: ComputeSystemQuery = {},
    { signal }: CallOptions = {},
  ): Promise<ComputeSystemSummary[]> {
    const call = { action: 'enumerate compute systems', signal, timeout: operationTimeout() };
    return serviceCall(call, async (deadline) => {
      const text = JSON.stringify(checkDocument('SystemQuery', query));
      const list = await runServiceOperation(call, deadline, (running) =>
        this.#api.enumerateSystems(text, running),
      );
      if (Array.isArray(list)) return list as ComputeSystemSummary[];
      throw new HcsError({
        action: `Cannot ${call.action}`,
        problem: 'the answer of the Host Compute Service is no list',
        code: 'ERROR_INVALID_DATA',
      });
    });
  }
}
