import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Set by the bundler. */
declare const HCSSHIM_VERSION: string | undefined;

/** Version of the OCI runtime specification that `config.json` is read by. */
const specVersion = '1.0.2';

export function versionText(): string {
  return `containerd-shim-runhcs-v1\nversion: ${version()}\nspec: ${specVersion}\n`;
}

function version(): string {
  if (typeof HCSSHIM_VERSION === 'string') return HCSSHIM_VERSION;
  const manifest = join(import.meta.dirname, '../package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
