/**
 * The import rule of ARCHITECTURE.md: a package imports packages on lower floors only, through their doors,
 * and only those that its package.json names. Prints each breach and exits with 1.
 *
 *     node tools/check-imports.ts
 */
import { glob, readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Folder → floor. A package that is not named here is a breach too: its floor has not been decided. */
const floors: Record<string, number> = {
  'packages/ttrpc': 0,
  'packages/ext4': 0,
  'packages/schema': 0,
  'packages/linux': 0,
  'packages/windows': 0,
  'packages/program': 0,
  'packages/bridge': 1,
  'packages/hcs': 1,
  'packages/hcn': 1,
  'packages/storage': 1,
  'packages/engine': 2,
  'packages/uvm': 2,
  'packages/guest': 2,
  'packages/containers': 3,
  'packages/hcsshim': 4,
  'cmd/containerd-shim-runhcs-v1': 5,
  'cmd/device-util': 5,
  'cmd/dmverity-vhd': 5,
  'cmd/gcs': 5,
  'cmd/grantvmgroupaccess': 5,
  'cmd/hcsshim': 5,
  'cmd/jobobject-util': 5,
  'cmd/tar2ext4': 5,
  'cmd/zapdir': 5,
  boot: 6,
  test: 7,
};

/** Programs that the guest runs take no host package, and the other way round. */
const forbidden: [importer: string, imported: string][] = [
  ['packages/guest', '@hcsshim/hcs'],
  ['packages/guest', '@hcsshim/uvm'],
  ['packages/guest', '@hcsshim/engine'],
  ['packages/uvm', '@hcsshim/engine'],
];

interface Workspace {
  folder: string;
  name: string;
  dependencies: Set<string>;
  exports: Set<string>;
}

const breaches: string[] = [];
const workspaces: Workspace[] = [];
for await (const path of glob(
  ['packages/*/package.json', 'cmd/*/package.json', 'boot/package.json', 'test/package.json'],
  {
    cwd: root,
  },
)) {
  const manifest = JSON.parse(await readFile(join(root, path), 'utf8')) as {
    name: string;
    dependencies?: Record<string, string>;
    exports?: Record<string, string>;
  };
  const folder = path.slice(0, -'/package.json'.length);
  if (!(folder in floors)) breaches.push(`${folder}: no floor is set for it in tools/check-imports.ts`);
  workspaces.push({
    folder,
    name: manifest.name,
    dependencies: new Set(Object.keys(manifest.dependencies ?? {})),
    exports: new Set(Object.keys(manifest.exports ?? {})),
  });
}

const byName = new Map(workspaces.map((workspace) => [workspace.name, workspace]));
/** Import and export statements, and dynamic imports; not words in comments and messages. */
const specifierPattern =
  /(?:^|\n)(?:import|export)\s[^'";]*?from\s+'([^']+)'|(?:^|\n)import\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;

for (const workspace of workspaces) {
  for await (const path of glob(`${workspace.folder}/**/*.ts`, {
    cwd: root,
    exclude: (name) => name.includes('node_modules') || name.endsWith('/dist'),
  })) {
    const source = await readFile(join(root, path), 'utf8');
    const isTest =
      /\.(test|fuzz|fixture)\.ts$/.test(path) || workspace.folder === 'test' || path.includes('/contract/');
    for (const [, statement, bare, dynamic] of source.matchAll(specifierPattern)) {
      checkImport(workspace, path, (statement ?? bare ?? dynamic) as string, isTest);
    }
  }
}

function checkImport(workspace: Workspace, path: string, specifier: string, isTest: boolean): void {
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return;
  if (specifier.startsWith('.')) {
    // What tests everything may reach everywhere.
    if (workspace.folder === 'test') return;
    const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
    if (!target.startsWith(`${workspace.folder}/`))
      breaches.push(`${path}: reaches into ${target}, import the package instead`);
    return;
  }
  const [scope, second] = specifier.split('/');
  const name = scope?.startsWith('@') ? `${scope}/${second}` : (scope as string);
  const subPath = `.${specifier.slice(name.length)}`;
  const imported = byName.get(name);
  if (!imported) {
    if (!workspace.dependencies.has(name) && !isTest)
      breaches.push(`${path}: "${name}" is not in its package.json`);
    return;
  }
  if (!imported.exports.has(subPath)) breaches.push(`${path}: "${specifier}" is not a door of ${name}`);
  // An example imports its own package as a user of it does.
  if (isTest || (imported === workspace && path.includes('/examples/'))) return;
  if (!workspace.dependencies.has(name)) breaches.push(`${path}: "${name}" is not in its package.json`);
  const floor = floors[workspace.folder] ?? 0;
  const importedFloor = floors[imported.folder] ?? 0;
  if (importedFloor >= floor && imported !== workspace) {
    breaches.push(`${path}: floor ${floor} imports "${name}" on floor ${importedFloor}`);
  }
  if (forbidden.some(([importer, target]) => importer === workspace.folder && target === name)) {
    breaches.push(`${path}: may not import "${name}", see tools/check-imports.ts`);
  }
}

for (const breach of breaches) console.error(breach);
console.log(`imports: ${workspaces.length} packages, ${breaches.length} breaches`);
process.exitCode = breaches.length > 0 ? 1 : 0;
