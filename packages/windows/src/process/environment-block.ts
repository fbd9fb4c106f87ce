/**
 * The environment as `CreateProcessW` takes it: `NAME=value` strings in UTF-16, each ended by a NUL, the block by another, sorted
 * by name without regard to case. Of names that differ in case alone the last wins, as names have no case on Windows.
 * `SystemRoot` is taken from this process when it is missing, since hardly a program starts without it.
 *
 * Throws a TypeError for a name that is empty or has `=` in it behind the first character, and for a NUL.
 */
export function environmentBlock(environment: Readonly<Record<string, string | undefined>>): Buffer {
  const entries = new Map<string, string>();
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue;
    if (name === '' || name.includes('=', 1) || name.includes('\0')) {
      throw new TypeError(`Cannot use "${name}" as the name of an environment variable`);
    }
    if (value.includes('\0')) {
      throw new TypeError(`Cannot set environment variable "${name}": its value has a NUL character in it`);
    }
    entries.set(name.toUpperCase(), `${name}=${value}`);
  }
  const systemRoot = process.env.SystemRoot;
  if (!entries.has('SYSTEMROOT') && systemRoot !== undefined) {
    entries.set('SYSTEMROOT', `SystemRoot=${systemRoot}`);
  }
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  // An empty block has two NULs as well.
  const strings = sorted.length > 0 ? sorted.map(([, entry]) => `${entry}\0`).join('') : '\0';
  return Buffer.from(`${strings}\0`, 'utf16le');
}
