/**
 * `packages/windows/PROCEDURES.md`: every procedure that the tables of `@hcsshim/windows` name, as a page.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Dll, dlls, type ParameterKind, type Procedure } from '../packages/windows/src/index.ts';

const path = 'packages/windows/PROCEDURES.md';
const file = join(fileURLToPath(new URL('..', import.meta.url)), path);

/** Writes the page. With `check`, changes nothing and gives the path when the page is not what would be written. */
export async function generateProcedures({ check }: { check: boolean }): Promise<string[]> {
  const page = procedurePage();
  if (!check) {
    await writeFile(file, page);
    return [];
  }
  const kept = await readFile(file, 'utf8').catch(() => '');
  return kept === page ? [] : [path];
}

function procedurePage(): string {
  const count = dlls.reduce((sum, dll) => sum + Object.keys(dll.procedures).length, 0);
  return [
    '# Procedures',
    '',
    `The ${count} procedures of ${dlls.length} DLLs that this package calls, generated from the tables in \`src/dlls\` by \`npm run generate\`.`,
    '',
    '- **Build**: the first build of Windows that has it; 7600 stands for every Windows that is still met. 14393 is Windows Server',
    '  2016, 17763 Server 2019, 19041 Windows 10 2004, 20348 Server 2022.',
    '- **Runs**: on a thread of the pool, with a promise for its results, or here, on the calling thread, with the results at once, or either.',
    '- `in` parameters have no mark; `?` may be left out; `memory X` is laid out by the caller; `LocalString` and `CoTaskMemString`',
    '  are read and freed with `LocalFree` and `CoTaskMemFree`. A code that tells of a failure is thrown as `DllCallError`.',
    '',
    ...dlls.flatMap(dllSection),
  ].join('\n');
}

function dllSection(dll: Dll): string[] {
  const procedures = Object.entries(dll.procedures);
  return [
    `## ${dll.file}`,
    '',
    `${procedures.length} procedures. Source: ${dll.source}.`,
    '',
    '| procedure | used for | build | runs |',
    '| --- | --- | --- | --- |',
    ...procedures.map(([name, procedure]) => {
      const { purpose, build = dll.build, immediate } = procedure;
      return `| \`${prototype(name, procedure)}\` | ${purpose} | ${build} | ${immediate === true ? 'here' : immediate ? 'either' : 'pool'} |`;
    }),
    '',
  ];
}

function prototype(name: string, { returns, parameters }: Procedure): string {
  const list = Object.entries(parameters).map(
    ([parameter, kind]: [string, ParameterKind]) => `${kind} ${parameter}`,
  );
  return `${returns} ${name}(${list.join(', ')})`;
}
