import { HcsError } from '@hcsshim/schema';
import type { GuestProcess } from './guest-process.ts';

/** How many exits that were told already are kept for those who ask late. */
const rememberedExits = 256;

/** The processes of a container, or of the VM itself, by id. An exit that nobody has asked for is never forgotten. */
export class ProcessTable {
  readonly #owner: string;
  readonly #processes = new Map<number, GuestProcess>();
  /** Ids whose exit has been told, the oldest first. */
  readonly #told = new Map<number, GuestProcess>();

  /** @param owner For errors: `container "x"`. */
  constructor(owner: string) {
    this.#owner = owner;
  }

  add(process: GuestProcess): void {
    this.#told.delete(process.pid);
    this.#processes.set(process.pid, process);
    process.onForgettable(() => this.#remember(process));
  }

  /** Throws ERROR_NOT_FOUND. */
  get(pid: number): GuestProcess {
    const process = this.#processes.get(pid);
    if (process) return process;
    throw new HcsError({
      action: `Cannot find process ${pid} in ${this.#owner}`,
      problem: 'the agent has started none with this id',
      code: 'ERROR_NOT_FOUND',
    });
  }

  #remember(process: GuestProcess): void {
    const { pid } = process;
    if (this.#processes.get(pid) !== process) return;
    this.#told.set(pid, process);
    if (this.#told.size <= rememberedExits) return;
    const [oldest] = this.#told.keys();
    this.#told.delete(oldest as number);
    this.#processes.delete(oldest as number);
  }
}
