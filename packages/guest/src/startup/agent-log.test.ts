import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { AgentLog } from './agent-log.ts';

function collector(): { output: PassThrough; written: () => string } {
  const output = new PassThrough();
  let text = '';
  output.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return { output, written: () => text };
}

const parse = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('lines are kept until there is somewhere to write them', async () => {
  const log = new AgentLog({ level: 'info', format: 'json' });
  log.write('info', 'early', { n: 1 });
  log.write('debug', 'too much detail');
  const { output, written } = collector();
  log.attach(output);
  log.write('error', 'late');
  await settled();
  const [early, late, ...rest] = parse(written());
  assert.deepEqual(
    [early.level, early.msg, early.n, late.level, late.msg, rest.length],
    ['info', 'early', 1, 'error', 'late', 0],
  );
  assert.ok(!Number.isNaN(Date.parse(early.time)));
});

test('a reader that stops costs lines, not memory, and is told how many', async () => {
  const log = new AgentLog({ level: 'info', format: 'json' });
  for (let index = 0; index < 600; index++) log.write('info', 'x'.repeat(1000));
  const { output, written } = collector();
  log.attach(output);
  await settled();
  log.write('info', 'after');
  await settled();
  const lines = parse(written());
  const dropped = lines.find(({ msg }) => msg === 'Log lines were dropped');
  assert.ok(written().length < 300 * 1024);
  assert.equal(lines.filter(({ msg }) => msg.startsWith('x')).length + dropped.count, 600);
  assert.equal(lines.at(-1).msg, 'after');
});

test('an output that has gone is replaced by keeping', async () => {
  const log = new AgentLog({ level: 'info', format: 'json' });
  const first = new PassThrough();
  log.attach(first);
  first.destroy();
  await new Promise((resolve) => first.once('close', resolve));
  log.write('info', 'kept');
  const second = collector();
  log.attach(second.output);
  await settled();
  assert.equal(parse(second.written())[0].msg, 'kept');
});

test('text has one line of pairs', async () => {
  const log = new AgentLog({ level: 'trace', format: 'text' });
  const { output, written } = collector();
  log.attach(output);
  log.write('warning', 'two words', { cid: 'a', note: 'say "x"' });
  await settled();
  assert.match(written(), /^time=\S+ level=warning msg="two words" cid=a note="say \\"x\\""\n$/);
});
