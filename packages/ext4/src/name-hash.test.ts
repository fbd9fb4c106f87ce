import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { hasE2fsck } from './e2fsck.fixture.ts';
import { NameHash } from './name-hash.ts';

const uuid = '11223344-5566-7788-99aa-bbccddeeff00';
const seed = Buffer.from(uuid.replaceAll('-', ''), 'hex');

test('names have the hashes that the format has for them', () => {
  const hash = new NameHash(seed);
  // By debugfs's dx_hash.
  const known: [string, number][] = [
    ['a', 0x82170af6],
    ['hello', 0x6a6d483e],
    ['x'.repeat(31), 0x6ca296de],
    ['y'.repeat(32), 0x09e042ac],
    ['z'.repeat(33), 0x9236d5e8],
    ['é-ü', 0xa9f8371c],
  ];
  for (const [name, expected] of known)
    assert.equal(hash.of(Buffer.from(name).toString('latin1')), expected, name);
});

test('debugfs has the same hashes, also without a seed', { skip: !hasE2fsck && 'needs e2fsprogs' }, () => {
  for (const [own, option] of [
    [seed, `-s ${uuid}`],
    [new Uint8Array(16), ''],
  ] as const) {
    const hash = new NameHash(own);
    for (const length of [1, 3, 4, 5, 28, 32, 64, 65, 255]) {
      const name = 'a-Z~09'.repeat(50).slice(0, length);
      const { stdout } = spawnSync('debugfs', ['-R', `dx_hash -h half_md4 ${option} ${name}`], {
        encoding: 'utf8',
      });
      assert.equal(hash.of(name), Number(/is (0x[0-9a-f]+)/.exec(stdout)?.[1]), name);
    }
  }
});
