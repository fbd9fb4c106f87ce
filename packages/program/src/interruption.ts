const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a signal that is aborted when the user or the system interrupts the program, so that what it has
 * begun is cleared away. The program then ends by the signal that came, as who waits for it expects. A second
 * signal ends it at once.
 */
export async function runInterruptibly(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupted = new AbortController();
  let received: NodeJS.Signals | undefined;
  const stopListening = (): void => {
    for (const name of signals) process.off(name, interrupt);
  };
  const interrupt = (name: NodeJS.Signals): void => {
    received = name;
    stopListening();
    interrupted.abort(new Error(`Cannot go on: ${name} was received`));
  };
  for (const name of signals) process.on(name, interrupt);
  try {
    await work(interrupted.signal);
  } catch (error) {
    if (received === undefined) throw error;
  } finally {
    stopListening();
    if (received !== undefined) process.kill(process.pid, received);
  }
}
