import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { HcsError } from '@hcsshim/hcs';

/** What stands for the Host Compute Service on Linux: a virtual machine per system, or namespaces. */
export type EngineName = 'qemu' | 'sandbox';

export const engineNames: readonly EngineName[] = ['qemu', 'sandbox'];

/** Checks a name that came from outside. Throws E_INVALIDARG. */
export function parseEngineName(name: string): EngineName {
  const known = engineNames.find((engine) => engine === name);
  if (known) return known;
  throw new HcsError({
    action: `Cannot use engine "${name.slice(0, 100)}"`,
    problem: `it is unknown, choose "qemu" or "sandbox"`,
    code: 'E_INVALIDARG',
  });
}

/** The engine to use when nobody says: `$HCSSHIM_ENGINE`, else QEMU. */
export function defaultEngine(): EngineName {
  return process.env.HCSSHIM_ENGINE ? parseEngineName(process.env.HCSSHIM_ENGINE) : 'qemu';
}

/** The first file of this name on the PATH, in the system's folders too. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
  ]) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
