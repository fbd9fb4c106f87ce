import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isHcsError } from '@hcsshim/hcs';
import { chooseAccelerator, probeAccelerator } from './accelerator.ts';
import { findQemu, type QemuProgram } from './qemu-program.ts';

let cache: string;
let qemu: QemuProgram | undefined;
before(async () => {
  cache = await mkdtemp(join(tmpdir(), 'hcsshim-test-'));
  qemu = await findQemu(cache).catch(() => undefined);
});
after(() => rm(cache, { recursive: true, force: true }));

describe('the probe of an accelerator', () => {
  test('comes to its end under emulation', async (t) => {
    if (!qemu) return t.skip('QEMU is not installed');
    assert.equal(await probeAccelerator(qemu, { name: 'tcg', cpuModel: 'max' }), 'works');
  });

  test('tells in words what QEMU does not run', async (t) => {
    if (!qemu) return t.skip('QEMU is not installed');
    const result = await probeAccelerator(qemu, { name: 'tcg', cpuModel: 'no-such-model' });
    assert.ok(typeof result === 'object' && !result.hangs);
    assert.match(result.problem, /no-such-model/);
  });

  test('leads to a choice that is remembered, with its reason when it is not KVM', async (t) => {
    if (!qemu) return t.skip('QEMU is not installed');
    const chosen = await chooseAccelerator(qemu, { cacheDirectory: cache });
    if (chosen.name === 'tcg') assert.match(chosen.reason ?? '', /\/dev\/kvm/);
    assert.deepEqual(await chooseAccelerator(qemu, { cacheDirectory: cache }), chosen);
    if (/does not run a guest/.test(chosen.reason ?? '')) {
      assert.match(await readFile(join(cache, 'accelerator.json'), 'utf8'), /does not run a guest/);
      await assert.rejects(
        chooseAccelerator(qemu, { cacheDirectory: cache, accelerator: 'kvm' }),
        (error) => isHcsError(error, 'ERROR_NOT_SUPPORTED') && /repair KVM/.test(error.message),
      );
    }
  });
});

test('a QEMU that is not there names the Debian package', async () => {
  await assert.rejects(findQemu(cache, '/no/such/qemu'), /Debian package qemu-system-x86/);
});
