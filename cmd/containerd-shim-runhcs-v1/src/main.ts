/**
 * containerd's runtime v2 shim. `start` and `delete` are run by containerd for each container and load only
 * what Node has built in; the daemon's half comes with `serve`.
 */
import { writeSync } from 'node:fs';
import { type CommandLine, parseCommandLine, UsageError, usage } from './command-line.ts';

async function run(): Promise<void> {
  const command = parseCommandLine(process.argv.slice(2), process.cwd());
  if (command === 'version') {
    const { versionText } = await import('./version.ts');
    writeSync(1, versionText());
    return;
  }
  if (command === 'help') {
    writeSync(1, usage);
    return;
  }
  await verbs[command.verb](command);
}

const verbs: Record<CommandLine['verb'], (command: CommandLine) => Promise<void>> = {
  async start(command) {
    const { start, printAddress } = await import('./start.ts');
    printAddress(await start(command));
    process.exit(0);
  },
  async delete(command) {
    const { deleteShim, printResponse } = await import('./delete.ts');
    printResponse(await deleteShim(command, (message) => writeSync(2, `${message}\n`)));
  },
  async serve(command) {
    const { serve } = await import('./serve.ts');
    await serve(command);
  },
};

run().catch((error: Error) => {
  writeSync(2, `${error.message}\n${error instanceof UsageError ? `\n${usage}` : ''}`);
  process.exit(1);
});
