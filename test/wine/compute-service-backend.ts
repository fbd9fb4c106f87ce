import type { ComputeService, ComputeSystem } from '@hcsshim/hcs';
import {
  type ComputeSystemDocument,
  type ComputeSystemQuery,
  HResult,
  isHcsError,
  type ModifySettingRequest,
  type PropertyQuery,
} from '@hcsshim/schema';
import type { Answer, Backend, Call, Completion, Tell } from './stand-in-service.ts';

const systemExited = 1;

/**
 * Puts a Host Compute Service behind the stand-in DLL: what a program under Wine does with `computecore.dll`
 * then happens in that service. Calls that its port does not have are answered with E_NOTIMPL.
 */
export function computeServiceBackend(compute: ComputeService): (tell: Tell) => Backend {
  return (tell) => new ComputeServiceBackend(compute, tell);
}

class ComputeServiceBackend implements Backend {
  readonly #compute: ComputeService;
  readonly #tell: Tell;
  /** By number; one that is still being created is a promise. Each handle has a number of its own. */
  readonly #systems = new Map<number, Promise<ComputeSystem>>();
  #lastTarget = 0;

  constructor(compute: ComputeService, tell: Tell) {
    this.#compute = compute;
    this.#tell = tell;
  }

  async answer({ name, target, strings }: Call): Promise<Answer> {
    const [first = null, second = null] = strings;
    switch (name) {
      case 'HcsCreateComputeSystem':
        return this.#create(first ?? '', second ?? '');
      case 'HcsOpenComputeSystem':
        return this.#open(first ?? '');
      case 'HcsEnumerateComputeSystems':
        return operation(async () => this.#compute.enumerate(optional<ComputeSystemQuery>(first) ?? {}));
    }
    const opening = this.#systems.get(target);
    if (opening === undefined) return { result: HResult.ERROR_INVALID_HANDLE };
    if (name === 'HcsCloseComputeSystem') {
      this.#systems.delete(target);
      await close(opening);
      return {};
    }
    if (name === 'HcsWaitForComputeSystemExit') {
      const { type } = await (await opening).wait();
      return { document: exitDocument(type) };
    }
    const work = systemCalls[name];
    if (work === undefined) return { result: HResult.E_NOTIMPL };
    return operation(async () => work(await opening, first));
  }

  /** The program has ended: with it, its handles close. */
  async disconnected(): Promise<void> {
    const systems = [...this.#systems.values()];
    this.#systems.clear();
    await Promise.all(systems.map(close));
  }

  #create(id: string, configuration: string): Answer {
    const creating = Promise.try(async () => {
      const document = required<ComputeSystemDocument>(configuration);
      return this.#compute.create(id, document);
    });
    const target = this.#keep(creating);
    return { ...operation(() => creating.then(() => null)), target };
  }

  async #open(id: string): Promise<Answer> {
    const opening = this.#compute.open(id);
    try {
      await opening;
    } catch (error) {
      return failure(error);
    }
    return { target: this.#keep(opening) };
  }

  #keep(opening: Promise<ComputeSystem>): number {
    const target = ++this.#lastTarget;
    this.#systems.set(target, opening);
    opening
      .then((system) => system.wait())
      .then(({ type }) => this.#tell(systemExited, target, exitDocument(type)))
      // A system that could not be made, or whose handle was closed first, has no exit to be told.
      .catch(() => {});
    return target;
  }
}

const systemCalls: Record<string, (system: ComputeSystem, text: string | null) => Promise<unknown>> = {
  HcsStartComputeSystem: (system) => system.start(),
  HcsShutDownComputeSystem: (system) => system.shutdown(),
  HcsTerminateComputeSystem: (system) => system.terminate(),
  HcsPauseComputeSystem: (system) => system.pause(),
  HcsResumeComputeSystem: (system) => system.resume(),
  HcsGetComputeSystemProperties: (system, query) => system.getProperties(optional<PropertyQuery>(query)),
  HcsModifyComputeSystem: (system, request) => system.modify(required<ModifySettingRequest>(request ?? '')),
};

function operation(work: () => Promise<unknown>): Answer {
  return { completion: Promise.try(work).then(success, failure) };
}

function success(value: unknown): Completion {
  return { document: value === undefined || value === null ? null : JSON.stringify(value) };
}

/** As the service does it: the code, and a document with the words (`ResultError` of Microsoft's schema). */
function failure(error: unknown): { result: number; document: string } {
  const result = isHcsError(error) ? error.hresult : HResult.E_FAIL;
  const message = error instanceof Error ? error.message : String(error);
  return { result, document: JSON.stringify({ Error: result | 0, ErrorMessage: message }) };
}

function exitDocument(type: string): string {
  return JSON.stringify({ Status: 0, ExitType: type });
}

async function close(opening: Promise<ComputeSystem>): Promise<void> {
  const system = await opening.catch(() => undefined);
  await system?.[Symbol.asyncDispose]();
}

/** Documents are checked by the service; here they only must be JSON. */
function required<T>(text: string): T {
  return JSON.parse(text) as T;
}

function optional<T>(text: string | null): T | undefined {
  return text === null ? undefined : required<T>(text);
}
