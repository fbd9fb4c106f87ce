import { FlagError } from './flags.ts';
import { runInterruptibly } from './interruption.ts';
import { printable } from './printable.ts';

/**
 * Runs a small program, whose output is one text: `work` gets the words of the command line and a signal that is aborted when the
 * program is interrupted, and gives what goes to standard output. An error is said on standard error, with the usage when
 * it is a FlagError; the exit code is then 1.
 */
export async function runProgram(
  name: string,
  usage: string,
  work: (words: readonly string[], signal: AbortSignal) => Promise<string>,
): Promise<void> {
  // Whoever closes our output early wants no more of it.
  process.stdout.on('error', () => {});
  try {
    await runInterruptibly(async (signal) => {
      process.stdout.write(await work(process.argv.slice(2), signal));
    });
  } catch (error) {
    const { message } = error as Error;
    process.stderr.write(`${name}: ${printable(message)}\n${error instanceof FlagError ? usage : ''}`);
    process.exitCode = 1;
  }
}
