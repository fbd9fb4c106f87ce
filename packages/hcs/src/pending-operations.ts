interface PendingOperation {
  subject: string;
  action: string;
  since: number;
}

/** What is under way on the compute systems of a service, so that the error of one that waits in vain can tell. */
export class PendingOperations {
  readonly #operations = new Set<PendingOperation>();

  /**
   * Lists an operation until its work has settled, also when nobody waits for it any more.
   *
   * @param subject Id of the system, or empty for the service itself.
   * @param action For example `start compute system "x"`.
   */
  track(subject: string, action: string, work: Promise<unknown>): void {
    const operation = { subject, action, since: performance.now() };
    this.#operations.add(operation);
    const remove = (): void => {
      this.#operations.delete(operation);
    };
    work.then(remove, remove);
  }

  /** Those on a system, oldest first: `start compute system "x" (for 240 s)`. */
  list(subject: string): string[] {
    const now = performance.now();
    return [...this.#operations]
      .filter((operation) => operation.subject === subject)
      .map(({ action, since }) => `${action} (for ${Math.round((now - since) / 1000)} s)`);
  }
}

const mostInWords = 8;
const longestInWords = 160;

/** Operations for the message of an error, the first of them, or empty when there are none. */
export function pendingInWords(operations: readonly string[]): string {
  if (operations.length === 0) return '';
  const shown = operations
    .slice(0, mostInWords)
    .map((text) => (text.length > longestInWords ? `${text.slice(0, longestInWords)}…` : text));
  const more = operations.length - shown.length;
  return `; pending on it: ${shown.join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}
