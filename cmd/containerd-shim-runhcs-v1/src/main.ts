/**
 * containerd's runtime v2 shim. `delete`, and `start` until it has printed the shim's address, load only what
 * Node has built in: containerd waits for them.
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
    const { openShim } = await import('./open-shim.ts');
    const shim = await openShim(command);
    if (!shim) return;
    const { runDaemon } = await import('./daemon.ts');
    await runDaemon(command, shim);
  },
  async delete(command) {
    const { deleteShim, printResponse } = await import('./delete.ts');
    printResponse(await deleteShim(command, (message) => writeSync(2, `${message}\n`)));
  },
};

run().catch((error: Error) => {
  writeSync(2, `${error.message}\n${error instanceof UsageError ? `\n${usage}` : ''}`);
  process.exit(1);
});
