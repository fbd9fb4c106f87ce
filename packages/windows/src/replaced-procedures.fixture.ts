import { bind } from './bind.ts';
import type { BoundDll, Dll } from './procedure.ts';

/** Puts functions in the place of a DLL's procedures until it is disposed of, so that what calls them runs anywhere. */
export function replaceProcedures<D extends Dll>(dll: D, functions: Partial<BoundDll<D>>): Disposable {
  const bound = bind(dll);
  const replaced = Object.keys(functions).map(
    (name) => [name, Object.getOwnPropertyDescriptor(bound, name) as PropertyDescriptor] as const,
  );
  for (const [name, value] of Object.entries(functions)) {
    Object.defineProperty(bound, name, { value, configurable: true, enumerable: true });
  }
  return {
    [Symbol.dispose]() {
      for (const [name, descriptor] of replaced) Object.defineProperty(bound, name, descriptor);
    },
  };
}
