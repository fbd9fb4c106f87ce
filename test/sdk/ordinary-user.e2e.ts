import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../../setup/prepare.ts';
import { CommandPlace, nobody, unreachable } from '../bad-luck/command-place.ts';

test('an ordinary user runs an image in a VM, without root, mounts and loop devices', {
  skip: unreachable,
  timeout: 300_000,
}, async () => {
  await using place = await CommandPlace.make();
  const home = await place.home(nobody);
  const environment = {
    HOME: home,
    HCSSHIM_STATE: join(home, 'state'),
    HCSSHIM_CACHE: join(home, 'cache'),
    HCSSHIM_BOOT: join(root, 'out'),
  };
  // What root owns in the image is root's in the container, who can do there what root can.
  const script =
    'id -u; ls -ln /bin/busybox | cut -c1-20; mknod /tmp/null c 1 3 && chown 5:6 /tmp/null && ls -ln /tmp/null';
  const run = ['run', '--engine', 'qemu', place.image, '--', 'sh', '-c', script];
  const { exitCode, stdout, stderr } = await place.run(run, { user: nobody, environment });
  assert.equal(exitCode, 0, stderr);
  const [uid, busybox, device] = stdout.split('\n');
  assert.equal(uid, '0');
  assert.match(busybox ?? '', /^-rwxr-xr-x/);
  assert.match(device ?? '', /^crw.* 5 +6 .*1, +3 /);
  assert.deepEqual(await place.leftovers(environment.HCSSHIM_STATE), []);
});
