import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeFlags, FlagError, parseFlags } from './flags.ts';

const flags = {
  input: { names: ['i', 'input'], value: 'FILE', meaning: 'what to read' },
  fast: { names: ['fast'], meaning: 'do not look' },
} as const;

test('one dash and two are the same, and so are a space and an equals sign', () => {
  for (const words of [
    ['-i', 'a', '-fast'],
    ['--i', 'a', '--fast'],
    ['-input=a', '--fast=true'],
    ['--input', 'b', '-fast=F', '-i=a', '-fast=1'],
  ]) {
    const { values, rest, help } = parseFlags(flags, words);
    assert.deepEqual({ ...values, rest, help }, { input: 'a', fast: true, rest: [], help: false });
  }
  assert.deepEqual(parseFlags(flags, []).values, { fast: false });
  assert.equal(parseFlags(flags, ['-i', '']).values.input, '');
  assert.equal(parseFlags(flags, ['-i', '-fast']).values.input, '-fast', 'a value may look like a flag');
  assert.equal(parseFlags(flags, ['-i=a=b']).values.input, 'a=b');
});

test('flags end at the first word that is none', () => {
  assert.deepEqual(parseFlags(flags, ['-fast', 'create', '-x']).rest, ['create', '-x']);
  assert.deepEqual(parseFlags(flags, ['-fast', '--', '-i']).rest, ['-i']);
  assert.deepEqual(parseFlags(flags, ['-', '-fast']).rest, ['-', '-fast']);
  assert.equal(parseFlags(flags, ['-fast', 'false']).values.fast, true, 'a switch takes no word');
});

test('help is asked for by -h and -help', () => {
  for (const word of ['-h', '--help']) assert.equal(parseFlags(flags, ['-fast', word]).help, true);
});

test('what cannot be understood is told', () => {
  const wrong: [string[], RegExp][] = [
    [['-x'], /no flag of this name/],
    [['-i'], /value is missing/],
    [['-fast=maybe'], /true or false/],
    [['-fast=constructor'], /true or false/],
    [['---i'], /it is no flag/],
    [['-=a'], /it is no flag/],
  ];
  for (const [words, message] of wrong) {
    assert.throws(
      () => parseFlags(flags, words),
      (error) => error instanceof FlagError && message.test(error.message),
    );
  }
});

test('the usage text has a line for each flag', () => {
  assert.equal(describeFlags(flags), '  -i, --input FILE  what to read\n  --fast            do not look\n');
});
