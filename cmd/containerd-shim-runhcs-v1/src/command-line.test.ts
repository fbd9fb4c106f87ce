import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine, UsageError } from './command-line.ts';

const containerd = ['-namespace', 'default', '-address', '/run/c.sock', '-publish-binary', '/bin/containerd'];

test('the arguments of containerd 1.6 are understood', () => {
  assert.deepEqual(parseCommandLine([...containerd, '-id', 'x', '-debug', 'start'], '/bundle'), {
    verb: 'start',
    namespace: 'default',
    address: '/run/c.sock',
    publishBinary: '/bin/containerd',
    id: 'x',
    bundle: '/bundle',
    debug: true,
  });
});

test('flags may have two dashes, an equals sign, an empty value, and stand behind the verb', () => {
  const command = parseCommandLine(
    [
      '--namespace=a=b',
      '-address',
      '-x',
      '--publish-binary=p',
      'delete',
      '-id=i',
      '-bundle=',
      '-debug=false',
    ],
    '/here',
  );
  assert.ok(typeof command === 'object');
  assert.equal(command.namespace, 'a=b');
  assert.equal(command.address, '-x');
  assert.equal(command.bundle, '/here');
  assert.equal(command.debug, false);
});

test('each required flag is asked for by name', () => {
  for (const flag of ['-namespace', '-address', '-publish-binary', '-id']) {
    const args = [...containerd, '-id', 'x'];
    args[args.indexOf(flag) + 1] = '';
    assert.throws(() => parseCommandLine([...args, 'start'], '/'), {
      name: 'UsageError',
      message: `Cannot start the shim: flag "${flag}" is missing or empty`,
    });
  }
});

test('what cannot be used is refused in words', () => {
  const cases: [args: string[], message: RegExp][] = [
    [[], /no verb is given/],
    [['restart'], /verb "restart" is unknown/],
    [['-nonsense', 'start'], /"-nonsense": it is unknown/],
    [['-id'], /"-id": its value is missing/],
    [['-debug=maybe', 'start'], /"maybe", it must be true or false/],
    [[...containerd, '-id', 'x', 'start', 'more'], /argument "more" is not expected/],
  ];
  for (const [args, message] of cases) {
    assert.throws(
      () => parseCommandLine(args, '/'),
      (error) => error instanceof UsageError && message.test(error.message),
    );
  }
});

test('version and help need no other flag', () => {
  for (const flag of ['-v', '-version', '--version']) assert.equal(parseCommandLine([flag], '/'), 'version');
  for (const flag of ['-h', '--help']) assert.equal(parseCommandLine([flag], '/'), 'help');
});
