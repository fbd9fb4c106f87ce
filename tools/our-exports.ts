import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** An export, or a part of one, as the tables write it: `@hcsshim/hcs ComputeSystem.start`, `@hcsshim/schema/hns PolicyType "ACL"`. */
const targetPattern = /^(\S+) (\w+)((?:\.\w+)*|\[[\w.]+\])(?: "([^"]+)")?$/;

/** The text of a declaration, and the module that it is in. */
interface Declaration {
  readonly file: string;
  readonly text: string;
}

/** What the packages of this repository export, types too, read from the sources as biome formats them. */
export class OurExports {
  readonly #doors: ReadonlyMap<string, string>;
  readonly #root: string;
  readonly #modules = new Map<string, Map<string, Declaration>>();

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
    const [, door, name, member = '', word] = targetPattern.exec(target) ?? [];
    if (door === undefined || name === undefined)
      throw new Error(`Cannot look for "${target}": write DOOR NAME`);
    const file = this.#doors.get(door);
    const declaration = file === undefined ? undefined : this.#exportsOf(file).get(name);
    if (declaration === undefined) return false;
    if (word !== undefined) return declaration.text.includes(`'${word}'`);
    return this.#hasMember(declaration, member.startsWith('[') ? [member] : member.split('.').slice(1));
  }

  #hasMember(declaration: Declaration, steps: readonly string[]): boolean {
    if (hasOwnMember(declaration.text, steps)) return true;
    const [, bases = ''] = /^[^{]* extends ([^{]*)/.exec(declaration.text) ?? [];
    if (steps[0] === '[Symbol.asyncDispose]' && /\bAsyncDisposable\b/.test(bases)) return true;
    return (bases.match(/\b[A-Z]\w*/g) ?? []).some((base) => {
      const inherited = this.#find(declaration.file, base);
      return inherited !== undefined && this.#hasMember(inherited, steps);
    });
  }

  /** What a module exports, by name. */
  #exportsOf(file: string): Map<string, Declaration> {
    const known = this.#modules.get(file);
    if (known) return known;
    const found = new Map<string, Declaration>();
    // Put there first, so that modules which export each other come to an end.
    this.#modules.set(file, found);
    const add = (name: string, declaration: Declaration | undefined): void => {
      if (declaration !== undefined) found.set(name, declaration);
    };
    const source = this.#source(file);
    for (const [, from = ''] of source.matchAll(/^export (?:type )?\* from '([^']+)';/gm))
      for (const [name, declaration] of this.#exportsFrom(file, from)) add(name, declaration);
    for (const [, list = '', from] of source.matchAll(
      /^export (?:type )?\{([^}]*)\}(?: from '([^']+)')?;/gm,
    )) {
      const others = from === undefined ? undefined : this.#exportsFrom(file, from);
      for (const [, name = '', alias = name] of list.matchAll(/(?:type )?(\w+)(?: as (\w+))?,?/g))
        add(alias, others ? others.get(name) : this.#find(file, name));
    }
    for (const [, list = ''] of source.matchAll(/^export const \{ ([^}]+) \} =/gm))
      for (const name of list.split(', ')) add(name, { file, text: '' });
    for (const [, name = ''] of source.matchAll(new RegExp(`^export ${keywords}(\\w+)`, 'gm')))
      add(name, this.#find(file, name));
    return found;
  }

  /** What a module declares, or imports. */
  #find(file: string, name: string): Declaration | undefined {
    const source = this.#source(file);
    const text = declarationIn(source, name);
    if (text !== undefined) return { file, text };
    for (const [, list = '', from = ''] of source.matchAll(/^import (?:type )?\{([^}]*)\} from '([^']+)';/gm))
      if (new RegExp(`\\b${name}\\b`).test(list)) return this.#exportsFrom(file, from).get(name);
    return undefined;
  }

  #exportsFrom(importer: string, specifier: string): Map<string, Declaration> {
    const file = specifier.startsWith('.') ? join(dirname(importer), specifier) : this.#doors.get(specifier);
    return file === undefined ? new Map() : this.#exportsOf(file);
  }

  /** A module that is not there has no text: tsc tells of it. */
  #source(file: string): string {
    const path = join(this.#root, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}

const keywords = '(?:abstract )?(?:async )?(?:interface|type|class|function\\*?|const) ';

/** From the declaration's first line to the one that ends it: the next that is not indented. */
function declarationIn(source: string, name: string): string | undefined {
  const start = source.search(new RegExp(`^(?:export )?${keywords}${name}\\b`, 'm'));
  if (start === -1) return undefined;
  const [first = '', ...rest] = source.slice(start).split('\n');
  if (/[;}]$/.test(first)) return first;
  const end = rest.findIndex((line) => /^\S/.test(line) && !/^[)}\]].*[{(]$/.test(line));
  return [first, ...rest.slice(0, end + 1)].join('\n');
}

/** Each step is one level of indentation deeper. */
function hasOwnMember(text: string, steps: readonly string[], depth = 1): boolean {
  const [step, ...rest] = steps;
  if (step === undefined) return true;
  const indent = '  '.repeat(depth);
  const modifiers = '(?:(?:static|readonly|async|override|get) )*';
  const name = step.replaceAll(/[[\].]/g, '\\$&');
  const member = new RegExp(`^${indent}${modifiers}\\*?${name}\\??[(:<,]`, 'm').exec(text);
  if (member === null) return false;
  const after = text.slice(member.index);
  const end = after.search(new RegExp(`\\n {0,${indent.length}}\\S`));
  return hasOwnMember(end === -1 ? after : after.slice(0, end), rest, depth + 1);
}
