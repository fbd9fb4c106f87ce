import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { SweepError, sweep } from '@hcsshim/engine/sweep';
import { listContainers } from './control/container-record.ts';
import { bootDirectory, stateDirectory } from './directories.ts';
import { findProgram } from './engine-name.ts';
import { builtBootDirectory } from './installation.ts';

export interface Finding {
  ok: boolean;
  subject: string;
  detail: string;
}

/** Programs on the PATH that the engines use, and Debian's packages with them. */
const programs = [
  { name: 'qemu-system-x86_64', package: 'qemu-system-x86', use: 'the qemu engine' },
  { name: 'crun', package: 'crun', use: 'the sandbox engine' },
  { name: 'setpriv', package: 'util-linux', use: 'both engines' },
];

/** Says what this machine can run, and removes what owners that died left behind. */
export async function diagnose(): Promise<{ findings: Finding[]; swept: string[] }> {
  const findings: Finding[] = [];
  for (const { name, package: debian, use } of programs) {
    const path = await findProgram(name);
    findings.push({
      ok: path !== undefined,
      subject: name,
      detail: path ?? `missing, needed for ${use}: install the Debian package "${debian}"`,
    });
  }
  const boot = bootDirectory([builtBootDirectory]);
  for (const file of ['vmlinux', 'initrd.img', 'rootfs.vhd']) {
    const path = join(boot, file);
    const ok = await access(path, constants.R_OK).then(
      () => true,
      () => false,
    );
    findings.push({
      ok,
      subject: file,
      detail: ok ? path : `missing in ${boot}, "npm run boot:build" makes it`,
    });
  }
  // Listing removes the records of owners that are gone.
  await listContainers();
  const swept = await sweep({ stateDirectory: stateDirectory() }).catch((error: unknown) => {
    if (!(error instanceof SweepError)) throw error;
    for (const { message } of error.errors as Error[])
      findings.push({ ok: false, subject: 'state', detail: message });
    return error.swept;
  });
  return { findings, swept: swept.map(({ id }) => id) };
}
