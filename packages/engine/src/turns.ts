/** Lets one piece of work run at a time, in the order of asking. */
export class Turns {
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** How many run or wait. */
  get length(): number {
    return this.#waiting;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const previous = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#waiting++;
    await previous;
    try {
      return await work();
    } finally {
      this.#waiting--;
      resolve();
    }
  }
}
