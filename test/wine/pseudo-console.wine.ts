/**
 * Pseudo consoles as far as Wine 8 has them: programs reach the console by its name alone (`CON`), not as their standard
 * streams, and it cannot be resized.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { HostProcess, JobObject, PseudoConsole } from '@hcsshim/windows';
import { openHandles } from './open-handles.ts';

const shell = 'C:\\windows\\system32\\cmd.exe';

function collect(console: PseudoConsole): { shown: string; until(text: string): Promise<void> } {
  const collected = {
    shown: '',
    async until(text: string) {
      const signal = AbortSignal.timeout(20_000);
      try {
        while (!stripVTControlCharacters(collected.shown).includes(text))
          await once(console.output, 'data', { signal });
      } catch (cause) {
        throw new Error(`Only this was shown: ${JSON.stringify(collected.shown)}`, { cause });
      }
    },
  };
  console.output.on('data', (bytes) => {
    collected.shown += String(bytes);
  });
  return collected;
}

describe('a pseudo console', () => {
  test('shows what a process writes to it, and types what is written', async () => {
    await using console = PseudoConsole.create({ columns: 100, rows: 30 });
    const screen = collect(console);
    await using job = await JobObject.create();
    await using started = await HostProcess.start({
      program: shell,
      commandLine: 'cmd /c cmd <CON >CON 2>&1',
      pseudoConsole: console,
      job,
    });
    assert.equal(started.stdout, null);
    assert.ok((await job.processIds()).includes(started.processId));
    await screen.until('>');
    console.input.write('echo typed&& exit 5\r');
    assert.equal(await started.wait(), 5);
    await screen.until('exit 5\r\ntyped');
  });

  test('closes with and without a process, and whether its output is read or not', async () => {
    const before = openHandles();
    for (let count = 0; count < 5; count++) {
      await using console = PseudoConsole.create({ columns: 80, rows: 25 });
      if (count % 2 > 0) continue;
      await using started = await HostProcess.start({
        program: shell,
        commandLine: 'cmd /c echo unread >CON',
        pseudoConsole: console,
      });
      await started.wait();
    }
    const closed = PseudoConsole.create({ columns: 80, rows: 25 });
    await Promise.all([closed.close(), closed.close()]);
    await assert.rejects(
      closed.use(() => {}),
      /Cannot use a handle "HPCON" that is closed/,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(openHandles() - before < 10, `${openHandles() - before} handles more than before`);
  });

  test('and pipes exclude each other', async () => {
    await using console = PseudoConsole.create({ columns: 80, rows: 25 });
    await assert.rejects(
      HostProcess.start({ program: shell, pseudoConsole: console, stdin: true }),
      /^TypeError: Cannot start ".+": it cannot have both pipes and a pseudo console$/,
    );
  });

  test('is not resized by Wine, which says so', async () => {
    await using console = PseudoConsole.create({ columns: 80, rows: 25 });
    await assert.rejects(console.resize({ columns: 100, rows: 30 }), {
      message:
        'Cannot resize a pseudo console: ResizePseudoConsole failed with HRESULT 0x80004001, Not implemented',
    });
  });
});
