/**
 * `docs/COMPATIBILITY.md`: the names of upstream's root package and what they are here, as a page.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CompatibilityRow, compatibility } from './compatibility-table.ts';

const path = 'docs/COMPATIBILITY.md';
const file = join(fileURLToPath(new URL('..', import.meta.url)), path);

/** Writes the page. With `check`, changes nothing and gives the path when the page is not what would be written. */
export async function generateCompatibility({ check }: { check: boolean }): Promise<string[]> {
  const page = compatibilityPage();
  if (!check) {
    await writeFile(file, page);
    return [];
  }
  const kept = await readFile(file, 'utf8').catch(() => '');
  return kept === page ? [] : [path];
}

function compatibilityPage(): string {
  const count = compatibility.reduce((sum, { rows }) => sum + Object.keys(rows).length, 0);
  return [
    '# Compatibility',
    '',
    `What the ${count} exports of the root package of microsoft/hcsshim are here. Generated from \`tools/compatibility-table.ts\` by`,
    '`npm run generate`; `tools/compatibility.test.ts` fails when a name of upstream is left out, or one of ours does not exist.',
    'What is of a door `@hcsshim/…/windows` here is exported by `hcsshim/windows` too.',
    '',
    ...compatibility.flatMap(({ title, introduction, rows }) => [
      `## ${title}`,
      '',
      ...(introduction === undefined ? [] : [introduction, '']),
      '| upstream | here | |',
      '| --- | --- | --- |',
      ...Object.entries(rows).map(
        ([upstream, row]) => `| \`${upstream}\` | ${place(row)} | ${row.note ?? ''} |`,
      ),
      '',
    ]),
  ].join('\n');
}

/** `start` of `ComputeSystem` in `@hcsshim/hcs`. */
function place({ ours }: CompatibilityRow): string {
  if (ours === undefined) return '–';
  const [door, ...name] = ours.split(' ');
  return `\`${name.join(' ')}\` of \`${door}\``;
}
