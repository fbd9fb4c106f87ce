import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArguments } from './arguments.ts';

const defaults = {
  entropyPort: 1,
  logPort: 109,
  logLevel: 'debug',
  logFormat: 'text',
  logFile: '',
  coreDumpLocation: '',
  kmsgLogLevel: 4,
  useStandardStreams: false,
  rootMemoryReserveBytes: 78643200,
  sandbox: undefined,
  cgroupParent: '/containers',
};

test("the defaults are upstream's", () => {
  assert.deepEqual(parseArguments([]), defaults);
});

test("the line that upstream's host gives to init is understood", () => {
  const line = '-e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug';
  assert.deepEqual(parseArguments(line.split(' ')), { ...defaults, logFormat: 'json' });
});

test('ports, two dashes, "=" and hexadecimal numbers', () => {
  const line =
    '-e 7 /bin/vsockexec -o 8 -e 9 gcs --loglevel=warn -root-mem-reserve-bytes 0x10 -use-inouterr=true --sandbox /x --cgroup-parent /a/b';
  assert.deepEqual(parseArguments(line.split(' ')), {
    ...defaults,
    entropyPort: 7,
    logPort: 9,
    logLevel: 'warning',
    rootMemoryReserveBytes: 16,
    useStandardStreams: true,
    sandbox: '/x',
    cgroupParent: '/a/b',
  });
});

test('flags that have no effect here are accepted', () => {
  const args = ['-disable-time-sync', '-gcs-mem-limit-bytes', '1', '-scrub-logs=false'];
  assert.deepEqual(parseArguments(args), defaults);
});

test('bad values are refused in words', () => {
  const cases: [string[], RegExp][] = [
    [['-loglevel', 'loud'], /Cannot log at level "loud": use one of panic, fatal, error/],
    [['-log-format', 'xml'], /Cannot log in format "xml": use "text" or "json"/],
    [['-initial-policy-stance', 'deny'], /Cannot start with -initial-policy-stance "deny"/],
    [['-v4=maybe'], /Cannot read flag -v4: "maybe" is not true or false/],
    [['-kmsgLogLevel', '-1'], /Cannot read flag -kmsgLogLevel: "-1" is not an unsigned number/],
    [['-logfile'], /Cannot read flag -logfile: it needs a value/],
    [['-bogus'], /Cannot read argument "-bogus": known are -loglevel/],
    [['stray'], /Cannot read argument "stray"/],
    [['-e', 'x'], /Cannot use port "x" for init -e/],
  ];
  for (const [args, message] of cases) assert.throws(() => parseArguments(args), message);
});
