/**
 * Preloaded by the Windows Node under Wine. What is linked or left out in `node_modules` on Linux is found
 * elsewhere: packages of this repository at their sources, which Node would not strip of types below
 * `node_modules`, and koffi's binary for Windows, which npm does not install on Linux.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '../..');
const koffiBinary = process.env.HCSSHIM_KOFFI_BINARY;
if (koffiBinary === undefined) throw new Error('Cannot preload: HCSSHIM_KOFFI_BINARY is not set');

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (specifier === '@koromix/koffi-win32-x64')
      return { url: pathToFileURL(koffiBinary).href, shortCircuit: true };
    const [, folder, door] =
      /^(?:@hcsshim\/)?([a-z0-9]+)(\/.+)?$/.exec(
        specifier.startsWith('@hcsshim/') || specifier === 'hcsshim' ? specifier : '',
      ) ?? [];
    if (folder === undefined) return nextResolve(specifier, context);
    const location = join(root, 'packages', folder);
    const { exports } = JSON.parse(readFileSync(join(location, 'package.json'), 'utf8')) as {
      exports: Record<string, string>;
    };
    const entry = exports[`.${door ?? ''}`];
    if (entry === undefined) throw new Error(`Cannot import "${specifier}": the package has no such door`);
    return { url: pathToFileURL(join(location, entry)).href, shortCircuit: true };
  },
});
