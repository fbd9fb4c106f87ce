/** A flag of a program. Without `value` it is a switch. */
export interface Flag {
  /** Without dashes, the usual one first. */
  names: readonly string[];
  /** What its value is, in capitals: `FILE`. */
  value?: string;
  meaning: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What the flags were set to, by the table's keys. */
export type FlagValues<T extends Flags> = {
  [K in keyof T]: T[K] extends { value: string } ? string | undefined : boolean;
};

/** A command line that cannot be understood. */
export class FlagError extends Error {
  override readonly name = 'FlagError';
}

const switchValues: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((word) => [word, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((word) => [word, false] as const),
]);

/**
 * Reads flags the way Go's flag package does, whose syntax upstream's programs have: one dash or two, `-name value`
 * or `-name=value`, a switch with a value only after `=`, the last one wins. Flags end at the first word that is none, or
 * after `--`; the words from there on are `rest`. `help` is whether `-h` or `-help` was met, which ends the reading.
 * Throws FlagError.
 */
export function parseFlags<T extends Flags>(
  flags: T,
  words: readonly string[],
): { values: FlagValues<T>; rest: string[]; help: boolean } {
  const values: Record<string, string | boolean | undefined> = {};
  const keys = new Map<string, string>();
  for (const [key, { names, value }] of Object.entries(flags)) {
    if (value === undefined) values[key] = false;
    for (const name of names) keys.set(name, key);
  }
  const result = (at: number, help: boolean) => ({
    values: values as FlagValues<T>,
    rest: words.slice(at),
    help,
  });
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '--') return result(at + 1, false);
    if (!word.startsWith('-') || word === '-') return result(at, false);
    const [, name, given] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === undefined) throw new FlagError(`Cannot understand "${word}": it is no flag`);
    const key = keys.get(name);
    if (key === undefined) {
      if (name === 'h' || name === 'help') return result(at, true);
      throw new FlagError(`Cannot understand "${word}": there is no flag of this name`);
    }
    if (flags[key]!.value === undefined) {
      const value = switchValues.get(given ?? 'true');
      if (value === undefined) throw new FlagError(`Cannot understand "${word}": give true or false`);
      values[key] = value;
    } else if (given !== undefined) {
      values[key] = given;
    } else {
      if (++at === words.length) throw new FlagError(`Cannot understand "${word}": its value is missing`);
      values[key] = words[at];
    }
  }
  return result(words.length, false);
}

/** The flags and their meanings, one a line, for a usage text. */
export function describeFlags(flags: Flags): string {
  const rows = Object.values(flags).map(({ names, value, meaning }) => {
    const spelled = names.map((name) => (name.length === 1 ? `-${name}` : `--${name}`)).join(', ');
    return [value === undefined ? spelled : `${spelled} ${value}`, meaning] as const;
  });
  const width = Math.max(...rows.map(([spelled]) => spelled.length));
  return rows.map(([spelled, meaning]) => `  ${spelled.padEnd(width)}  ${meaning}\n`).join('');
}
