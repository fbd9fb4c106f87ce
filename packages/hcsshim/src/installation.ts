import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** The project's folder: this file and the bundles of the programs are both three folders below it. */
const root = join(import.meta.dirname, '../../..');

/** Boot files of a checkout, made by `npm run boot:build`. */
export const builtBootDirectory = join(root, 'out');

/** How to start the guest agent on this host: under the Node that runs us, the bundle when there is one. */
export function guestAgentCommand(): string[] {
  const bundle = join(root, 'cmd/gcs/dist/gcs.cjs');
  const program = existsSync(bundle) ? bundle : join(root, 'cmd/gcs/src/main.ts');
  return [process.execPath, '--disable-warning=ExperimentalWarning', program];
}
