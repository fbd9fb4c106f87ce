import { parseArguments, runAgent } from '@hcsshim/guest';

async function main(): Promise<void> {
  await runAgent(parseArguments(process.argv.slice(2)));
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`gcs: ${error instanceof Error ? error.message : error}\n`);
    process.exit(1);
  },
);
