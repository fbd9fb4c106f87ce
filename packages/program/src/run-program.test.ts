import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

function runAsProgram(
  work: string,
  ...args: string[]
): { code: number | null; stdout: string; stderr: string } {
  const source = `
    import { FlagError, runProgram } from ${JSON.stringify(`${import.meta.dirname}/index.ts`)};
    await runProgram('example', 'Usage: example\\n', ${work});`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-', ...args],
    { input: source, encoding: 'utf8', timeout: 60_000 },
  );
  return { code: status, stdout, stderr };
}

test("what the work gives is the program's output", () => {
  const outcome = runAsProgram('async (words) => words.join("|") + "\\n"', 'a', '-b');
  assert.deepEqual(outcome, { code: 0, stdout: 'a|-b\n', stderr: '' });
});

test('an error is said in one line, with the usage only when the command line was wrong', () => {
  assert.deepEqual(runAsProgram('async () => { throw new Error("Cannot open \\u001b[31m\\"x\\"") }'), {
    code: 1,
    stdout: '',
    stderr: 'example: Cannot open \\x1b[31m"x"\n',
  });
  assert.deepEqual(runAsProgram('async () => { throw new FlagError("Cannot start: NAME is missing") }'), {
    code: 1,
    stdout: '',
    stderr: 'example: Cannot start: NAME is missing\nUsage: example\n',
  });
});
