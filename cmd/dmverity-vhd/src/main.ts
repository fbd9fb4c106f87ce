import { FlagError, printable, runInterruptibly } from '@hcsshim/program';
import { isHcsError } from '@hcsshim/schema';
import { type CommandLine, readCommandLine, usage } from './command-line.ts';
import { createDirectoryVhd, createImageVhds } from './create.ts';
import { sayRootHashes } from './roothash.ts';

type Work = Exclude<CommandLine, { command: 'help' }>;

const say = (line: string): void => void process.stdout.write(`${printable(line)}\n`);
const sayMore = (line: string): void => void process.stderr.write(`${printable(line)}\n`);

async function main(): Promise<void> {
  // Whoever closes our output early wants no more of it.
  process.stdout.on('error', () => {});
  const commandLine = readCommandLine(process.argv.slice(2));
  if (commandLine.command === 'help') process.stdout.write(usage);
  else await runInterruptibly((signal) => work(commandLine, signal));
}

async function work(commandLine: Work, signal: AbortSignal): Promise<void> {
  const note = commandLine.verbose ? sayMore : () => {};
  switch (commandLine.command) {
    case 'roothash':
      return sayRootHashes({ ...commandLine.image, note, signal }, say);
    case 'create':
      return createImageVhds({ ...commandLine.image, note, signal }, { ...commandLine, say });
    case 'create data':
      return createDirectoryVhd(commandLine.archive, { ...commandLine, say }, signal);
  }
}

main().catch((error: Error) => {
  // The codes of the Host Compute Service are not for who only makes files.
  const message = isHcsError(error) ? `${error.action}: ${error.problem}` : error.message;
  process.stderr.write(`dmverity-vhd: ${printable(message)}\n${error instanceof FlagError ? usage : ''}`);
  process.exitCode = 1;
});
