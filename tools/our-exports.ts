import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** An export, or a part of one, as the tables write it: `@hcsshim/hcs ComputeSystem.start`, `@hcsshim/schema/hns PolicyType "ACL"`. */
const targetPattern = /^(\S+) (\w+)((?:\.\w+)*|\[[\w.]+\])(?: "([^"]+)")?$/;

/** What the packages of this repository export, types too, read from the sources as biome formats them. */
export class OurExports {
  readonly #doors: ReadonlyMap<string, string>;
  readonly #root: string;
  readonly #modules = new Map<string, Map<string, string>>();

  private constructor(root: string, doors: ReadonlyMap<string, string>) {
    this.#root = root;
    this.#doors = doors;
  }

  static async read(root: string): Promise<OurExports> {
    const doors = new Map<string, string>();
    for await (const path of glob('packages/*/package.json', { cwd: root })) {
      const manifest = JSON.parse(readFileSync(join(root, path), 'utf8')) as {
        name: string;
        exports?: Record<string, string>;
      };
      for (const [door, file] of Object.entries(manifest.exports ?? {}))
        doors.set(manifest.name + door.slice(1), join(dirname(path), file));
    }
    return new OurExports(root, doors);
  }

  /** Throws for a target that is not written as one. */
  has(target: string): boolean {
    const [, door, name, member, word] = targetPattern.exec(target) ?? [];
    if (door === undefined || name === undefined)
      throw new Error(`Cannot look for "${target}": write DOOR NAME`);
    const file = this.#doors.get(door);
    const declaration = file === undefined ? undefined : this.#exportsOf(file).get(name);
    if (declaration === undefined) return false;
    if (word !== undefined) return declaration.includes(`'${word}'`);
    if (member?.startsWith('[')) {
      const own = declaration
        .split('\n')
        .some((line) => /^ {2}(?:async )?\[/.test(line) && line.includes(member));
      return own || /^[^{]* extends [^{]*\bAsyncDisposable\b/.test(declaration);
    }
    return hasMember(declaration, member?.split('.').slice(1) ?? []);
  }

  /** The names that a module exports, with the text of their declarations. */
  #exportsOf(file: string): Map<string, string> {
    const known = this.#modules.get(file);
    if (known) return known;
    const found = new Map<string, string>();
    // Put there first, so that modules which export each other come to an end.
    this.#modules.set(file, found);
    const source = readFileSync(join(this.#root, file), 'utf8');
    for (const [, from] of source.matchAll(/^export (?:type )?\* from '([^']+)';/gm))
      for (const [name, text] of this.#exportsFrom(file, from as string)) found.set(name, text);
    for (const [, list, from] of source.matchAll(/^export (?:type )?\{([^}]*)\}(?: from '([^']+)')?;/gm)) {
      const others = from === undefined ? undefined : this.#exportsFrom(file, from);
      for (const [, original = '', alias = original] of (list as string).matchAll(
        /(?:type )?(\w+)(?: as (\w+))?,?/g,
      )) {
        const text = others
          ? others.get(original)
          : (declarationOf(source, original) ?? this.#imported(file, source, original));
        if (text !== undefined) found.set(alias, text);
      }
    }
    for (const [, list] of source.matchAll(/^export const \{ ([^}]+) \} =/gm))
      for (const name of (list as string).split(', ')) found.set(name, '');
    for (const [, name] of source.matchAll(new RegExp(`^export ${declaration}(\\w+)`, 'gm')))
      found.set(name as string, declarationOf(source, name as string) ?? '');
    return found;
  }

  /** The declaration of what a module imports and exports again. */
  #imported(file: string, source: string, name: string): string | undefined {
    for (const [, list = '', from = ''] of source.matchAll(/^import (?:type )?\{([^}]*)\} from '([^']+)';/gm))
      if (new RegExp(`\\b${name}\\b`).test(list)) return this.#exportsFrom(file, from).get(name);
    return undefined;
  }

  #exportsFrom(importer: string, specifier: string): Map<string, string> {
    const file = specifier.startsWith('.') ? join(dirname(importer), specifier) : this.#doors.get(specifier);
    return file !== undefined && existsSync(join(this.#root, file)) ? this.#exportsOf(file) : new Map();
  }
}

const declaration = '(?:abstract )?(?:async )?(?:interface|type|class|function\\*?|const) ';

/** From the declaration's first line to the one that ends it: the next that is not indented. */
function declarationOf(source: string, name: string): string | undefined {
  const start = source.search(new RegExp(`^(?:export )?${declaration}${name}\\b`, 'm'));
  if (start === -1) return undefined;
  const [first = '', ...rest] = source.slice(start).split('\n');
  if (/[;}]$/.test(first)) return first;
  const end = rest.findIndex((line) => /^\S/.test(line) && !/^[)}\]].*[{(]$/.test(line));
  return [first, ...rest.slice(0, end + 1)].join('\n');
}

function hasMember(text: string, steps: readonly string[], depth = 1): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return true;
  const indent = '  '.repeat(depth);
  const modifiers = '(?:(?:static|readonly|async|override|get) )*';
  const member = new RegExp(`^${indent}${modifiers}${step}\\??[(:<,]`, 'm').exec(text);
  if (member === null) return false;
  const after = text.slice(member.index);
  const end = after.search(new RegExp(`\\n {0,${indent.length}}\\S`));
  return hasMember(end === -1 ? after : after.slice(0, end), rest, depth + 1);
}
