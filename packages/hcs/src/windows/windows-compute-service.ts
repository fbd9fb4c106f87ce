import type { ComputeSystemDocument, ComputeSystemQuery, ComputeSystemSummary } from '@hcsshim/schema';
import { HcsError } from '@hcsshim/schema';
import { checkDocument } from '@hcsshim/schema/hcs';
import { checkDocument as checkContainerDocument } from '@hcsshim/schema/hcs-v1';
import { bind, computecore, createComputeSystem, openComputeSystem, windowsBuild } from '@hcsshim/windows';
import type { CallOptions, ComputeService, ComputeSystem } from '../compute-service.ts';
import { operationTimeout } from '../operation-timeout.ts';
import { phase } from '../phase.ts';
import { type ContainerDocument, isContainerDocument } from './container-document.ts';
import { runServiceOperation, serviceCall } from './service-call.ts';
import { WindowsComputeSystem } from './windows-compute-system.ts';

/**
 * The Host Compute Service of Windows, through `computecore.dll`. Nothing is loaded before the first call;
 * where the DLL is missing that call fails with ERROR_PROC_NOT_FOUND.
 */
export function createWindowsComputeService(): ComputeService {
  return new WindowsComputeService();
}

class WindowsComputeService implements ComputeService {
  async create(
    id: string,
    document: ComputeSystemDocument | ContainerDocument,
    { signal }: CallOptions = {},
  ): Promise<ComputeSystem> {
    const action = `create compute system "${id}"`;
    const timeout = operationTimeout('SYSTEMCREATE');
    return serviceCall({ action, signal, timeout }, (deadline) =>
      phase('windows: create', id, async () => {
        checkSystemDocument(document);
        const handle = await createComputeSystem(id, JSON.stringify(document), { signal: deadline, timeout });
        return WindowsComputeSystem.adopt(id, handle, { action, timeout }, deadline, { isNew: true });
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
      const handle = await openComputeSystem(id);
      return WindowsComputeSystem.adopt(id, handle, { action, timeout }, deadline);
    });
  }

  async enumerate(
    query: ComputeSystemQuery = {},
    { signal }: CallOptions = {},
  ): Promise<ComputeSystemSummary[]> {
    const call = { action: 'enumerate compute systems', signal, timeout: operationTimeout() };
    return serviceCall(call, async (deadline) => {
      const text = JSON.stringify(checkDocument('SystemQuery', query));
      const list = await runServiceOperation(call, deadline, (operation) =>
        bind(computecore).HcsEnumerateComputeSystems({ query: text, operation }),
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

function checkSystemDocument(document: ComputeSystemDocument | ContainerDocument): void {
  // What the environment adds to a document of schema 1 may be what no schema knows.
  if (isContainerDocument(document)) {
    checkContainerDocument('ContainerConfig', document, { allowUnknownFields: true });
    return;
  }
  const build = windowsBuild();
  checkDocument('ComputeSystem', document, build === undefined ? {} : { build });
}
