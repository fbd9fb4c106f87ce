/**
 * Generates the protobuf code of each package that has a `buf.gen.yaml`, and the HCS documents of
 * `packages/schema`. With `--check` it changes nothing and exits with 1 when the code in the repository is not
 * what would be generated. Needs no network.
 *
 *     node tools/generate.ts [--check]
 */
import { execFile } from 'node:child_process';
import { cp, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generateCompatibility } from './generate-compatibility.ts';
import { generateHcsSchema } from './generate-hcs-schema.ts';
import { generateProcedures } from './generate-procedures.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const buf = join(root, 'node_modules/.bin/buf');
const check = process.argv.includes('--check');
const stale: string[] = [];

for await (const path of glob(['packages/*/buf.gen.yaml', 'cmd/*/buf.gen.yaml'], { cwd: root })) {
  const folder = join(root, dirname(path));
  if (!check) {
    await generate(folder, folder);
    continue;
  }
  const scratch = await mkdtemp(join(tmpdir(), 'hcsshim-generate-'));
  try {
    for (const name of ['buf.gen.yaml', 'buf.yaml', 'proto'])
      await cp(join(folder, name), join(scratch, name), { recursive: true });
    await generate(scratch, folder);
    await compare(join(scratch, 'src/generated'), join(folder, 'src/generated'), dirname(path));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const hcsFiles = await generateHcsSchema(root);
for (const [path, text] of hcsFiles) {
  if (check) {
    if ((await readFile(join(root, path), 'utf8').catch(() => '')) !== text) stale.push(path);
    continue;
  }
  await mkdir(join(root, dirname(path)), { recursive: true });
  await writeFile(join(root, path), text);
}
for await (const path of glob('packages/schema/src/generated/**/*.ts', { cwd: root })) {
  if (hcsFiles.has(path)) continue;
  if (check) stale.push(path);
  else await rm(join(root, path));
}
stale.push(...(await generateProcedures({ check })), ...(await generateCompatibility({ check })));

for (const path of stale) console.error(`${path}: not what would be generated, run "npm run generate"`);
console.log(check ? `generated code: ${stale.length} stale files` : 'generated code: written');
process.exitCode = stale.length > 0 ? 1 : 0;

async function generate(input: string, output: string): Promise<void> {
  await run(buf, ['generate'], {
    cwd: input,
    env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}` },
  }).catch((error: { stderr?: string }) => {
    throw new Error(`Cannot generate code for "${output}": ${error.stderr ?? error}`);
  });
}

async function compare(made: string, kept: string, label: string): Promise<void> {
  const names = new Set<string>();
  for (const folder of [made, kept])
    for await (const name of glob('**/*.ts', { cwd: folder })) names.add(name);
  for (const name of names) {
    const [a, b] = await Promise.all(
      [made, kept].map((folder) => readFile(join(folder, name), 'utf8').catch(() => '')),
    );
    if (a !== b) stale.push(`${label}/src/generated/${name}`);
  }
}
