import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureBootFiles } from '../boot/src/index.ts';
import { type DebianPackageKey, installDebianPackages } from './debian-packages.ts';
import type { StepDisplay } from './terminal.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Folder with the programs that containerd looks for. */
export const programs = join(root, 'node_modules/.bin');

export interface PrepareOptions {
  packages: readonly DebianPackageKey[];
  /** Build what a VM boots. */
  bootFiles: boolean;
  /** Base of the guest's root file system, a tar. @default made from Debian's busybox-static */
  base?: string;
}

/** Takes a fresh machine to where the programs run: Debian packages, bundles, boot files. */
export async function prepare(display: StepDisplay, options: PrepareOptions): Promise<void> {
  await display.step('Debian packages', () =>
    installDebianPackages(options.packages, (line) => display.line(line)),
  );
  await display.step('programs', () => bundlePrograms());
  if (!options.bootFiles) return;
  await display.step('boot files', async (progress) => {
    await ensureBootFiles({
      outDir: join(root, 'out'),
      agentBundle: join(root, 'cmd/gcs/dist/gcs.cjs'),
      ...(options.base ? { base: options.base } : {}),
      onProgress: (step, fraction) => progress(fraction, step),
    });
  });
}

export async function bundlePrograms(): Promise<void> {
  await promisify(execFile)(process.execPath, [join(root, 'tools/bundle.ts')], { cwd: root });
}
