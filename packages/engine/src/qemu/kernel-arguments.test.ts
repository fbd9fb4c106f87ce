import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kernelArguments } from './kernel-arguments.ts';

/** As upstream's host builds it for a Linux VM. */
const upstream =
  'root=/dev/sda ro rootwait init=/init 8250_core.nr_uarts=0 panic=-1 quiet pci=off nr_cpus=2 brd.rd_nr=0 pmtmr=0 ' +
  '-- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json';

test('what would cut the machine off goes, what the document says stays, the rest is added before "--"', () => {
  assert.equal(
    kernelArguments(upstream, 'tcg'),
    'root=/dev/sda ro rootwait init=/init panic=-1 quiet nr_cpus=2 brd.rd_nr=0 console=ttyS0 cryptomgr.notests ' +
      'random.trust_cpu=on mitigations=off noreplace-smp no_timer_check ' +
      '-- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json',
  );
});

test('a processor that speculates keeps its mitigations', () => {
  assert.doesNotMatch(kernelArguments(upstream, 'kvm'), /mitigations/);
});

test('a document that sets a parameter is not corrected', () => {
  const line = kernelArguments('console=ttyS1 panic=10 mitigations=auto', 'tcg');
  assert.match(line, /^console=ttyS1 panic=10 mitigations=auto /);
  assert.doesNotMatch(line, /ttyS0|panic=-1|mitigations=off/);
});

test('arguments of the init keep their spaces', () => {
  assert.match(kernelArguments(`quiet -- sh -c "a  b -- c"`, 'tcg'), / -- sh -c "a {2}b -- c"$/);
});
