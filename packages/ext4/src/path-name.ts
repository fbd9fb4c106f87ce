import { Ext4Error } from './ext4-error.ts';
import { longestName } from './layout.ts';

/**
 * How strings of this package stand for the bytes of names: `utf8`, or `latin1` where each character is one byte,
 * which any name of any archive or disk goes through unharmed.
 */
export type PathEncoding = 'utf8' | 'latin1';

/** Inside this package names are byte strings: each character is one byte. */
export function toByteString(text: string, encoding: PathEncoding): string {
  if (isAscii(text)) return text;
  if (encoding === 'utf8') return Buffer.from(text, 'utf8').toString('latin1');
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0xff) {
      throw new Ext4Error('INVALID_NAME', `Cannot use name ${JSON.stringify(text)}: it is no byte string`);
    }
  }
  return text;
}

export function fromByteString(bytes: string, encoding: PathEncoding): string {
  return encoding === 'latin1' || isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A byte string in quotes, for an error: as people read it, where it is UTF-8. */
export function quoted(bytes: string): string {
  return JSON.stringify(fromByteString(bytes, 'utf8'));
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return false;
  }
  return true;
}

/** Throws INVALID_NAME when no directory can have such an entry. `path` is what it is part of. */
export function checkName(name: string, path: string): void {
  if (name.length > longestName) {
    throw new Ext4Error(
      'INVALID_NAME',
      `Cannot use path ${JSON.stringify(path)}: a name in it has ${name.length} bytes, allowed are ${longestName}`,
    );
  }
  if (name === '' || name === '.' || name === '..' || name.includes('\0')) {
    throw new Ext4Error(
      'INVALID_NAME',
      `Cannot use path ${JSON.stringify(path)}: ${JSON.stringify(name)} is no name`,
    );
  }
}
