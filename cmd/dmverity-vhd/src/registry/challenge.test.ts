import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenge } from './challenge.ts';

test('challenges are read as registries write them', () => {
  assert.deepEqual(
    parseChallenge(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ),
    {
      scheme: 'bearer',
      realm: 'https://auth.docker.io/token',
      service: 'registry.docker.io',
      scope: 'repository:a/b:pull,push',
    },
  );
  assert.deepEqual(parseChallenge('bearer Realm = "https://x/"'), { scheme: 'bearer', realm: 'https://x/' });
  assert.deepEqual(parseChallenge('Basic realm="Registry"'), { scheme: 'basic' });
  assert.deepEqual(parseChallenge('Basic'), { scheme: 'basic' });
  assert.deepEqual(parseChallenge('Negotiate, Basic realm="x"'), { scheme: 'basic' });
});

test('what is not known is left alone', () => {
  for (const header of ['', 'Negotiate', 'Bearer service="x"', 'BasicX realm="y"', 'x'.repeat(16_000)]) {
    assert.equal(parseChallenge(header), undefined);
  }
});

test('a hostile header takes no long time', () => {
  const started = performance.now();
  for (const header of [
    `Bearer ${'a=b'.repeat(5000)}`,
    `Bearer ${'a="b" , '.repeat(2000)}"`,
    `${',  '.repeat(5000)}`,
  ]) {
    parseChallenge(header);
  }
  assert.ok(performance.now() - started < 1000);
});
