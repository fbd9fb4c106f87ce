/**
 * `npm run boot:build`: what a utility VM boots, into `out/`.
 *
 *     npm run boot:build [-- --base FILE.tar[.gz]]
 */
import { parseArgs } from 'node:util';
import { prepare } from './prepare.ts';
import { StepDisplay } from './terminal.ts';

const { values } = parseArgs({ options: { base: { type: 'string' } } });
await prepare(new StepDisplay(), {
  packages: ['busybox', 'xz'],
  bootFiles: true,
  ...(values.base ? { base: values.base } : {}),
}).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
