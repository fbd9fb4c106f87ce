import { FlagError, printable, runInterruptibly } from '@hcsshim/program';
import { makeImage } from './make-image.ts';
import { readCommandLine, usage } from './options.ts';

/** The exit codes of upstream's program, whose flags are Go's. */
const failure = 1;
const wrongFlags = 2;

async function main(): Promise<number> {
  const commandLine = readCommandLine(process.argv.slice(2), process.env);
  if (typeof commandLine === 'string') {
    process.stderr.write(usage);
    return commandLine === 'help' ? 0 : failure;
  }
  await runInterruptibly((signal) => makeImage({ ...commandLine, signal }));
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    const isWrongFlag = error instanceof FlagError;
    process.stderr.write(`tar2ext4: ${printable(error.message)}\n${isWrongFlag ? usage : ''}`);
    process.exitCode = isWrongFlag ? wrongFlags : failure;
  },
);
