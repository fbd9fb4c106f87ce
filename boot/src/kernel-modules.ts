import { elfSection } from './elf.ts';

/** A kernel module: what `.modinfo` says of it. */
export interface KernelModule {
  /** With `_` for `-`, as the kernel prints it. */
  name: string;
  /** Below the kernel's module folder: `kernel/fs/ext4/ext4.ko`. */
  path: string;
  content: Uint8Array;
  depends: string[];
  aliases: string[];
}

/** `.modinfo` is `key=value` strings, each with a NUL behind it. */
export function parseKernelModule(path: string, content: Uint8Array): KernelModule {
  const info = elfSection(content, '.modinfo');
  if (!info)
    throw new Error(`Cannot read the kernel module "${path}": it has no .modinfo section, is it a module?`);
  const values = (key: string): string[] =>
    Buffer.from(info)
      .toString('utf8')
      .split('\0')
      .filter((line) => line.startsWith(`${key}=`))
      .map((line) => line.slice(key.length + 1));
  return {
    name: moduleName(path),
    path,
    content,
    depends: values('depends')
      .flatMap((list) => list.split(','))
      .filter((name) => name !== '')
      .map(moduleName),
    aliases: values('alias'),
  };
}

/** `ext4` of `kernel/fs/ext4/ext4.ko`, `9pnet_fd` of `9pnet-fd.ko.xz`. */
export function moduleName(path: string): string {
  const file = path.slice(path.lastIndexOf('/') + 1);
  return file.replace(/\.ko(\.[a-z0-9]+)?$/, '').replaceAll('-', '_');
}

/** All modules of one kernel, and those that are part of the kernel itself. */
export class KernelModules {
  readonly #modules: Map<string, KernelModule>;
  readonly #builtin: ReadonlySet<string>;

  constructor(modules: Iterable<KernelModule>, builtin: Iterable<string>) {
    this.#modules = new Map([...modules].map((module) => [module.name, module]));
    this.#builtin = new Set(builtin);
  }

  /**
   * The modules named and all they need, each behind what it needs: the order to load them in. One that is
   * built in is left out, one that the kernel does not have is an error.
   */
  loadOrder(names: readonly string[]): KernelModule[] {
    const order = new Set<KernelModule>();
    const visit = (name: string, neededBy: string): void => {
      const module = this.#modules.get(name);
      if (!module) {
        if (this.#builtin.has(name)) return;
        throw new Error(
          `Cannot find the kernel module "${name}"${neededBy}: this kernel lacks it, take Debian's generic one`,
        );
      }
      if (order.has(module)) return;
      for (const dependency of module.depends) visit(dependency, `, needed by "${name}"`);
      order.add(module);
    };
    for (const name of names) visit(moduleName(name), '');
    return [...order];
  }

  /** `modules.dep` for `modules`: a line each, with all that has to be loaded before, the nearest first. */
  dependencyFile(modules: readonly KernelModule[]): string {
    return modules
      .map((module) => {
        const before = this.loadOrder([module.name]).slice(0, -1).reverse();
        return `${module.path}:${before.map(({ path }) => ` ${path}`).join('')}\n`;
      })
      .join('');
  }
}

/** `modules.alias`: how the kernel asks for a module that it knows by what it does (`fs-9p`, `net-pf-40`). */
export function aliasFile(modules: readonly KernelModule[]): string {
  return modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}\n`)).join('');
}
