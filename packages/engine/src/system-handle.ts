import {
  type CallOptions,
  type ComputeProcess,
  type ComputeSystem,
  closedHandleError,
  type SystemExit,
} from '@hcsshim/hcs';
import type { ModifySettingRequest, PropertyQuery, SystemProperties } from '@hcsshim/schema';
import type { ContainerProperties, PropertyQuery as PropertyQueryV1 } from '@hcsshim/schema/hcs-v1';
import type { OwnedSystem } from './owned-system.ts';
import { asksForStatistics, propertiesV1 } from './properties-v1.ts';
import { unsupported } from './unsupported.ts';

/** A handle, within the owning process, to a system. */
export class SystemHandle implements ComputeSystem {
  readonly id: string;
  readonly runtimeId: string;
  readonly #system: OwnedSystem;
  #closed = false;

  constructor(system: OwnedSystem) {
    this.id = system.id;
    this.runtimeId = system.runtimeId;
    this.#system = system;
    system.retain();
  }

  async start(options?: CallOptions): Promise<void> {
    await this.#open('start').start(options);
  }

  async shutdown(options?: CallOptions): Promise<void> {
    await this.#open('shutdown').shutdown(options);
  }

  async terminate(options?: CallOptions): Promise<void> {
    await this.#open('terminate').terminate(options);
  }

  async pause(options?: CallOptions): Promise<void> {
    await this.#open('pause').pause(options);
  }

  async resume(options?: CallOptions): Promise<void> {
    await this.#open('resume').resume(options);
  }

  async save(): Promise<void> {
    throw unsupported('save', this.#open('save').id);
  }

  async crash(_document?: unknown, options?: CallOptions): Promise<void> {
    await this.#open('crash').crash(options);
  }

  async createProcess(): Promise<ComputeProcess> {
    throw unsupported('create a process in', this.#open('create a process in').id);
  }

  async openProcess(): Promise<ComputeProcess> {
    throw unsupported('open a process of', this.#open('open a process of').id);
  }

  pendingOperations(): string[] {
    return this.#system.pendingOperations();
  }

  async getPropertiesV1(query?: PropertyQueryV1, options?: CallOptions): Promise<ContainerProperties> {
    const statistics = asksForStatistics(query) ? (['Statistics'] as const) : [];
    return propertiesV1(await this.getProperties({ PropertyTypes: [...statistics] }, options));
  }

  async getProperties(query?: PropertyQuery, options?: CallOptions): Promise<SystemProperties> {
    return this.#open('read properties of').getProperties(query, options);
  }

  async modify(request: ModifySettingRequest, options?: CallOptions): Promise<void> {
    await this.#open('modify').modify(request, options);
  }

  async wait(options?: CallOptions): Promise<SystemExit> {
    return this.#open('wait for').wait(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#system.release();
  }

  #open(verb: string): OwnedSystem {
    if (this.#closed) throw closedHandleError(verb, this.id);
    return this.#system;
  }
}
