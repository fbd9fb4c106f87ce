import type { WriteStream } from 'node:tty';

const barWidth = 24;

/**
 * Shows steps as they happen: a line each, with a bar for long ones when the output is a terminal. In a pipe
 * only finished steps are written.
 */
export class StepDisplay {
  readonly #output: WriteStream;
  #current = '';

  constructor(output: WriteStream = process.stdout) {
    this.#output = output;
  }

  /** Runs a step. `work` may report how far it is, from 0 to 1, with a word on what it is doing. */
  async step<T>(
    title: string,
    work: (progress: (fraction: number, detail?: string) => void) => Promise<T>,
  ): Promise<T> {
    const start = performance.now();
    this.#draw(`→ ${title} …`);
    try {
      const result = await work((fraction, detail) =>
        this.#draw(`→ ${title} ${bar(fraction)} ${detail ?? ''}`),
      );
      this.#finish(`✓ ${title} (${seconds(performance.now() - start)})`);
      return result;
    } catch (error) {
      this.#finish(`✗ ${title}`);
      throw error;
    }
  }

  line(text: string): void {
    this.#finish(text);
  }

  #draw(text: string): void {
    if (!this.#output.isTTY || text === this.#current) return;
    this.#current = text;
    this.#output.write(`\r\x1b[K${text.slice(0, Math.max(20, this.#output.columns - 1))}`);
  }

  #finish(text: string): void {
    if (this.#output.isTTY) this.#output.write('\r\x1b[K');
    this.#current = '';
    this.#output.write(`${text}\n`);
  }
}

export function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function bar(fraction: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * barWidth);
  return `[${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}]`;
}
