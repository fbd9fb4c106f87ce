import type { ComputeSystemDocument, ComputeSystemQuery, ComputeSystemSummary } from '@hcsshim/schema';
import { HcsError } from '@hcsshim/schema';
import {
  checkDocument,
  findFault,
  type ModificationRequest,
  type ServiceProperties,
  type ServicePropertyQuery,
} from '@hcsshim/schema/hcs';
import { createComputeSystem, openComputeSystem, windowsBuild } from '@hcsshim/windows';
import type { CallOptions, ComputeService, ComputeSystem, OpenSystemOptions } from '../compute-service.ts';
import { operationTimeout, type TimeoutName } from '../operation-timeout.ts';
import { PendingOperations } from '../pending-operations.ts';
import { phase } from '../phase.ts';
import { enumerateSystems, getServiceProperties, modifyServiceSettings } from './computecore-calls.ts';
import { invalidAnswer, parseAnswer, type ServiceCallOptions, serviceCall } from './service-call.ts';
import { WindowsComputeSystem } from './windows-compute-system.ts';

/**
 * The Host Compute Service of Windows, through `computecore.dll`. Nothing is loaded before the first call;
 * where the DLL is missing that call fails with ERROR_PROC_NOT_FOUND.
 */
export function createWindowsComputeService(): ComputeService {
  return new WindowsComputeService();
}

class WindowsComputeService implements ComputeService {
  readonly #pending = new PendingOperations();

  async create(
    id: string,
    document: ComputeSystemDocument,
    { signal, onEvent }: OpenSystemOptions = {},
  ): Promise<ComputeSystem> {
    const options = this.#call(`create compute system "${id}"`, signal, id, 'SYSTEMCREATE');
    return serviceCall(options, (call) =>
      phase('windows: create', id, async () => {
        const build = windowsBuild();
        checkDocument('ComputeSystem', document, build === undefined ? {} : { build });
        const handle = await createComputeSystem(id, JSON.stringify(document), {
          signal: call.deadline,
          timeout: call.timeout,
        });
        return WindowsComputeSystem.adopt(id, handle, call, { pending: this.#pending, onEvent, isNew: true });
      }),
    );
  }

  async open(id: string, { signal, onEvent }: OpenSystemOptions = {}): Promise<ComputeSystem> {
    return serviceCall(this.#call(`open compute system "${id}"`, signal, id), async (call) => {
      // No call takes such a string, and so no system can have it for an id.
      if (id.includes('\0')) {
        throw new HcsError({
          action: `Cannot ${call.action}`,
          problem: 'no system has this id',
          code: 'HCS_E_SYSTEM_NOT_FOUND',
        });
      }
      const handle = await openComputeSystem(id);
      return WindowsComputeSystem.adopt(id, handle, call, { pending: this.#pending, onEvent });
    });
  }

  async enumerate(
    query: ComputeSystemQuery = {},
    { signal }: CallOptions = {},
  ): Promise<ComputeSystemSummary[]> {
    return serviceCall(this.#call('enumerate compute systems', signal), async (call) => {
      const list = await enumerateSystems(call, JSON.stringify(checkDocument('SystemQuery', query)));
      if (Array.isArray(list)) return list as ComputeSystemSummary[];
      throw invalidAnswer(call.action, 'the answer of the Host Compute Service is no list');
    });
  }

  async getServiceProperties(
    query: ServicePropertyQuery,
    { signal }: CallOptions = {},
  ): Promise<ServiceProperties> {
    const action = 'read properties of the Host Compute Service';
    return serviceCall(this.#call(action, signal), async () => {
      const text = JSON.stringify(checkDocument('ServicePropertyQuery', query));
      const answer = parseAnswer(action, await getServiceProperties(text));
      const fault = findFault('ServiceProperties', answer, { allowUnknownFields: true });
      if (fault === undefined) return answer as ServiceProperties;
      throw invalidAnswer(action, `its answer is no list of properties: "${fault.path}" ${fault.problem}`);
    });
  }

  async modifyServiceSettings(request: ModificationRequest, { signal }: CallOptions = {}): Promise<unknown> {
    const action = 'modify settings of the Host Compute Service';
    return serviceCall(this.#call(action, signal), async () => {
      const text = JSON.stringify(checkDocument('ModificationRequest', request));
      return parseAnswer(action, await modifyServiceSettings(text));
    });
  }

  #call(
    action: string,
    signal: AbortSignal | undefined,
    subject = '',
    timeout?: TimeoutName,
  ): ServiceCallOptions {
    return { action, signal, timeout: operationTimeout(timeout), pending: this.#pending, subject };
  }
}
