import { HcsError } from '@hcsshim/schema';

/** A name of the kernel counts its bytes in 16 bits. */
const maxUnits = 32_767;

/**
 * Gives a path that leads down from a directory in the one spelling that this package uses, `Files\Windows`: `/` counts as `\`, and `.` and
 * empty parts are left out. Throws E_INVALIDARG for a path that leads anywhere else: up, to a drive, a share, a device, or into
 * an alternate stream.
 */
export function relativePath(path: string): string {
  if (typeof path !== 'string') throw refusal('a value', 'it is no string');
  const shown = `"${path.length > 200 ? `${path.slice(0, 200)}…` : path}"`;
  if (path.includes('\0')) throw refusal(shown, 'it has a NUL character in it');
  if (path.includes(':')) throw refusal(shown, 'it has a ":", of a drive or of an alternate stream');
  if (/^[\\/]/.test(path)) throw refusal(shown, 'it is absolute');
  const names = path.split(/[\\/]/).filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw refusal(shown, 'it leads up');
  if (names.length === 0) throw refusal(shown, 'it names the directory itself');
  const plain = names.join('\\');
  if (plain.length > maxUnits)
    throw refusal(shown, `it has ${plain.length} characters, more than ${maxUnits}`);
  return plain;
}

function refusal(shown: string, problem: string): HcsError {
  return new HcsError({
    action: `Cannot use ${shown} as a path below a directory`,
    problem: `${problem}, write it as folder\\name`,
    code: 'E_INVALIDARG',
  });
}
