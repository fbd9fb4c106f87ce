import assert from 'node:assert/strict';
import { test } from 'node:test';
import { archiveNames, parseImageReference, registryOrigin } from './image-reference.ts';

const digest = `sha256:${'0a'.repeat(32)}`;

test('names are read as docker and containerd read them', () => {
  const cases: [string, string, string, string][] = [
    ['busybox', 'docker.io', 'library/busybox', 'latest'],
    ['busybox:1.36', 'docker.io', 'library/busybox', '1.36'],
    ['me/tool', 'docker.io', 'me/tool', 'latest'],
    ['docker.io/busybox', 'docker.io', 'library/busybox', 'latest'],
    ['index.docker.io/me/tool:1', 'docker.io', 'me/tool', '1'],
    ['mcr.microsoft.com/a/b/c:v1', 'mcr.microsoft.com', 'a/b/c', 'v1'],
    ['localhost/tool', 'localhost', 'tool', 'latest'],
    ['localhost:5000/tool:1', 'localhost:5000', 'tool', '1'],
    ['[::1]:5000/tool', '[::1]:5000', 'tool', 'latest'],
    [`ghcr.io/a/b@${digest}`, 'ghcr.io', 'a/b', digest],
    [`ghcr.io/a/b:1@${digest}`, 'ghcr.io', 'a/b', digest],
    ['a__b/c-d.e--f', 'docker.io', 'a__b/c-d.e--f', 'latest'],
  ];
  for (const [text, registry, repository, tagOrDigest] of cases) {
    assert.deepEqual(parseImageReference(text), { registry, repository, tagOrDigest }, text);
  }
});

test('what is no name is refused', () => {
  const wrong = [
    '',
    ':1',
    'Busybox',
    'a//b',
    'a/',
    '/a',
    'a:',
    'a:-x',
    'a b',
    'a@sha256:1',
    `a@${digest}@${digest}`,
  ];
  const hostile = [
    '../../v2',
    'host.example/../x',
    'evil.example:80:80/a',
    'a.b@c/d',
    'x.y?z/a',
    `a.b/${'x'.repeat(300)}`,
  ];
  for (const text of [...wrong, ...hostile]) {
    assert.throws(() => parseImageReference(text), /^Error: Cannot take "/, text);
  }
});

test('only a registry on this machine is asked without TLS', () => {
  const cases: [string, string][] = [
    ['busybox', 'https://registry-1.docker.io'],
    ['ghcr.io/a/b', 'https://ghcr.io'],
    ['example.com:5000/a', 'https://example.com:5000'],
    ['10.0.0.1:5000/a', 'https://10.0.0.1:5000'],
    ['localhost:5000/a', 'http://localhost:5000'],
    ['127.0.0.1:5000/a', 'http://127.0.0.1:5000'],
    ['[::1]:5000/a', 'http://[::1]:5000'],
    ['localhost.example.com/a', 'https://localhost.example.com'],
    ['127.0.0.1.example.com/a', 'https://127.0.0.1.example.com'],
  ];
  for (const [name, origin] of cases) assert.equal(registryOrigin(parseImageReference(name)), origin);
});

test('archives have the short name, the long one, or the tag alone', () => {
  const names = archiveNames(parseImageReference('busybox:1'));
  assert.deepEqual(names, ['busybox:1', 'docker.io/library/busybox:1', '1']);
  assert.equal(archiveNames(parseImageReference('me/tool'))[0], 'me/tool:latest');
});
