/**
 * Where all programs of a user find the systems that run. Imports nothing but paths, as a program that must start
 * fast asks too: this is the package's door `@hcsshim/engine/default-state-directory`.
 */
import { join } from 'node:path';

/**
 * `$HCSSHIM_STATE`; else `/run/hcsshim` for root, `$XDG_RUNTIME_DIR/hcsshim` for others, and where that is
 * not set, `/run/user/<uid>/hcsshim`. Never a directory that another user could have made first.
 */
export function defaultStateDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  uid = process.getuid?.(),
): string {
  const { HCSSHIM_STATE: asked, XDG_RUNTIME_DIR: runtime } = environment;
  if (asked) return asked;
  if (uid === 0) return '/run/hcsshim';
  return join(runtime || `/run/user/${uid}`, 'hcsshim');
}
