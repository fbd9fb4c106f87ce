import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dlls } from '../../packages/windows/src/dlls/index.ts';
import { Marshaller } from '../../packages/windows/src/marshal.ts';

/**
 * Under Wine: keeps a list of the procedures of the tables that this process has called and that have answered, and
 * writes it into a folder when the process ends. A table that a test has bound under another DLL's name counts as itself.
 */
export function recordCalls(folder: string): void {
  const called = new Set<string>();
  const finish = Marshaller.prototype.finish;
  Marshaller.prototype.finish = function (this: Marshaller, ...answer: Parameters<typeof finish>) {
    const { name, procedure } = this.target;
    const dll = dlls.find(({ procedures }) => procedures[name] === procedure);
    if (dll !== undefined) called.add(`${dll.file} ${name}`);
    return finish.apply(this, answer);
  };
  // Wine soon gives a process id again.
  process.once('exit', () =>
    writeFileSync(join(folder, `${randomUUID()}.json`), JSON.stringify([...called])),
  );
}

/** On Linux, after all tests: procedures of the tables that no process has called. */
export async function findUncalled(folder: string): Promise<string[]> {
  const called = new Set<string>();
  for (const name of await readdir(folder)) {
    for (const procedure of JSON.parse(await readFile(join(folder, name), 'utf8')) as string[])
      called.add(procedure);
  }
  return dlls
    .flatMap(({ file, procedures }) => Object.keys(procedures).map((name) => `${file} ${name}`))
    .filter((procedure) => !called.has(procedure));
}
