import type { ComputeSystemDocument, ComputeSystemQuery, ComputeSystemSummary } from '@hcsshim/schema';
import { HcsError } from '@hcsshim/schema';
import {
  checkDocument,
  findFault,
  type ModificationRequest,
  type ServiceProperties,
  type ServicePropertyQuery,
} from '@hcsshim/schema/hcs';
import { checkDocument as checkContainerDocument } from '@hcsshim/schema/hcs-v1';
import { type ComputeApi, computeApi, windowsBuild } from '@hcsshim/windows';
import type {
  CallOptions,
  ComputeService,
  ComputeSystem,
  ContainerDocument,
  OpenSystemOptions,
} from '../compute-service.ts';
import { operationTimeout, type TimeoutName } from '../operation-timeout.ts';
import { PendingOperations } from '../pending-operations.ts';
import { phase } from '../phase.ts';
import { computeCall, enumerateSystems, getServiceProperties, modifyServiceSettings } from './api-calls.ts';
import { isContainerDocument } from './container-document.ts';
import { invalidAnswer, type ServiceCallOptions, serviceCall } from './service-call.ts';
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
  /** Chosen by the first call. */
  #api: ComputeApi | undefined;
  readonly #pending = new PendingOperations();

  constructor(api: ComputeApi | undefined) {
    this.#api = api;
  }

  async create(
    id: string,
    document: ComputeSystemDocument | ContainerDocument,
    { signal, onEvent }: OpenSystemOptions = {},
  ): Promise<ComputeSystem> {
    const options = this.#call(`create compute system "${id}"`, signal, id, 'SYSTEMCREATE');
    return serviceCall(options, (call) =>
      phase('windows: create', id, async () => {
        checkSystemDocument(document);
        const handle = await call.api.createSystem(id, JSON.stringify(document), computeCall(call));
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
      const handle = await call.api.openSystem(id, computeCall(call));
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
    return serviceCall(this.#call(action, signal), async (call) => {
      const text = JSON.stringify(checkDocument('ServicePropertyQuery', query));
      const answer = await getServiceProperties(call, text);
      const fault = findFault('ServiceProperties', answer, { allowUnknownFields: true });
      if (fault === undefined) return answer as ServiceProperties;
      throw invalidAnswer(action, `its answer is no list of properties: "${fault.path}" ${fault.problem}`);
    });
  }

  async modifyServiceSettings(request: ModificationRequest, { signal }: CallOptions = {}): Promise<unknown> {
    const action = 'modify settings of the Host Compute Service';
    return serviceCall(this.#call(action, signal), async (call) => {
      const text = JSON.stringify(checkDocument('ModificationRequest', request));
      return modifyServiceSettings(call, text);
    });
  }

  #call(
    action: string,
    signal: AbortSignal | undefined,
    subject = '',
    timeout?: TimeoutName,
  ): ServiceCallOptions {
    return {
      action,
      signal,
      timeout: operationTimeout(timeout),
      api: () => {
        this.#api ??= computeApi();
        return this.#api;
      },
      pending: this.#pending,
      subject,
    };
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
