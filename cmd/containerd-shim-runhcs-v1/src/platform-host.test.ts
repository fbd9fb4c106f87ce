import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerRoot } from './platform-host.ts';

const request = { id: 'x', bundle: '/run/bundle', rootfs: [] };
const mount = { type: 'bind', source: '/a', options: ['ro'] };

test("a root without mounts is the spec's, as seen from the bundle", () => {
  const rootOf = (path?: string) => {
    const spec = { ociVersion: '1.0.2', ...(path === undefined ? {} : { root: { path } }) };
    return containerRoot({ ...request, spec });
  };
  assert.deepEqual(rootOf(), { image: '/run/bundle/rootfs' });
  assert.deepEqual(rootOf('root'), { image: '/run/bundle/root' });
  assert.deepEqual(rootOf('/srv/root'), { image: '/srv/root' });
  const mounted = { ...request, spec: { ociVersion: '1.0.2', root: { path: 'rootfs' } }, rootfs: [mount] };
  assert.deepEqual(containerRoot(mounted), { rootMounts: [mount] });
});
