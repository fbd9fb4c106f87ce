/**
 * Bundles each program to one CommonJS file (`cmd/<name>/dist/<file>`): one file starts in half the time of
 * many, and CommonJS in less than ESM. Launchers in `bin/` prefer the bundle and fall back to the sources.
 *
 *     node tools/bundle.ts [name …]
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * `linux` programs run nowhere else, so that what is for Windows is left out of their bundles; and they open no networks.
 *
 * `parts` are modules of `src/` that become files of their own, read only when their dynamic import is
 * reached: containerd waits for the shim's `start`, which needs a fiftieth of the daemon's code.
 */
const programs: { name: string; file: string; linux?: boolean; parts?: string[] }[] = [
  { name: 'containerd-shim-runhcs-v1', file: 'shim.cjs', linux: true, parts: ['daemon'] },
  { name: 'device-util', file: 'device-util.cjs' },
  { name: 'dmverity-vhd', file: 'dmverity-vhd.cjs' },
  { name: 'gcs', file: 'gcs.cjs', linux: true },
  { name: 'grantvmgroupaccess', file: 'grantvmgroupaccess.cjs' },
  { name: 'hcsshim', file: 'hcsshim.cjs', linux: true },
  { name: 'jobobject-util', file: 'jobobject-util.cjs' },
  { name: 'tar2ext4', file: 'tar2ext4.cjs' },
  { name: 'zapdir', file: 'zapdir.cjs' },
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !programs.some((program) => program.name === name));
if (unknown.length > 0) {
  throw new Error(
    `Cannot bundle "${unknown.join('", "')}": no such program, choose from ${programs.map((p) => p.name).join(', ')}`,
  );
}

for (const { name, file, linux = false, parts = [] } of programs) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const folder = join('cmd', name);
  const { version } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as {
    version: string;
  };
  const options: BuildOptions = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    legalComments: 'eof',
    minifySyntax: true,
    minifyWhitespace: true,
    define: {
      'import.meta.dirname': '__dirname',
      HCSSHIM_VERSION: JSON.stringify(version),
      ...(linux ? { 'process.platform': '"linux"' } : {}),
    },
    ...(linux ? { external: ['@hcsshim/engine/network'] } : {}),
    logLevel: 'warning',
  };
  for (const part of parts) {
    const entry = join(folder, 'src', `${part}.ts`);
    await build({ ...options, entryPoints: [entry], outfile: join(folder, 'dist', `${part}.cjs`) });
  }
  await build({
    ...options,
    entryPoints: [join(folder, 'src/main.ts')],
    outfile: join(folder, 'dist', file),
    plugins: [partsOutside(parts)],
    // Imports that stay imports become `require`: Node's loader for CommonJS is the faster one.
    supported: parts.length > 0 ? { 'dynamic-import': false } : {},
  });
}

function partsOutside(parts: readonly string[]): Plugin {
  return {
    name: 'parts outside',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/[a-z-]+\.ts$/ }, ({ path, kind }) => {
        const part = path.slice('./'.length, -'.ts'.length);
        if (kind !== 'dynamic-import' || !parts.includes(part)) return undefined;
        return { path: `./${part}.cjs`, external: true };
      });
    },
  };
}
