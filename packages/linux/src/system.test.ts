import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { addEntropy } from './entropy.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const index = JSON.stringify(new URL('./index.ts', import.meta.url).href);

test('a host name is set in its own UTS namespace', { skip }, () => {
  const script = `
    import { hostname } from 'node:os';
    import { setHostname } from ${index};
    setHostname('pod-17');
    console.log(hostname());`;
  const { stdout } = spawnSync('unshare', ['-u', process.execPath, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(stdout, 'pod-17\n');
});

test('entropy is accepted', { skip }, () => {
  addEntropy(crypto.getRandomValues(new Uint8Array(32)));
});

test('power-off in a pid namespace ends the namespace only', { skip }, () => {
  const script = `
    import { reboot } from ${index};
    reboot('power-off');`;
  const { signal, status } = spawnSync(
    'unshare',
    ['-p', '--fork', process.execPath, '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  // The kernel ends init by SIGINT for a power-off (pid_namespaces(7)); unshare passes that on.
  assert.ok(signal === 'SIGINT' || status === 130, `ended by ${signal ?? status}`);
});
