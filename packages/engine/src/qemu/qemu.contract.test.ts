import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { computeServiceContract } from '@hcsshim/hcs/contract';
import { bootDocument, reasonNotToBoot } from '../contract/boot-document.ts';
import { openLinuxHarness } from '../contract/linux-harness.ts';

const skip = await reasonNotToBoot();
// One for all tests, so that they share a template.
const cacheDirectory = skip ? '' : mkdtempSync(join(tmpdir(), 'hcs-cache-'));
after(() => {
  if (cacheDirectory) rmSync(cacheDirectory, { recursive: true, force: true });
});

computeServiceContract('the QEMU engine', {
  skip,
  patience: 180_000,
  open: () =>
    openLinuxHarness(
      { name: 'qemu', options: { cacheDirectory } },
      { ...bootDocument(), ShouldTerminateOnLastHandleClosed: true },
    ),
});
