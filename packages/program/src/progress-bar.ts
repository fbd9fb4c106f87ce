/** What a bar needs of a terminal; `process.stderr` is one. */
export interface ProgressTerminal {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

/** In milliseconds: what is drawn more often nobody can read. */
const interval = 100;
const widestBar = 40;
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/**
 * One line on a terminal that says how far a work is: of `total` bytes if that is known, else the bytes alone. Draws
 * nothing where the output is no terminal. Disposing removes the line.
 */
export class ProgressBar implements Disposable {
  readonly #label: string;
  readonly #total: number | undefined;
  readonly #terminal: ProgressTerminal;
  #done = 0;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(label: string, total: number | undefined, terminal: ProgressTerminal = process.stderr) {
    this.#label = label;
    this.#total = total;
    this.#terminal = terminal;
  }

  /** So many bytes more. */
  add(bytes: number): void {
    this.#done += bytes;
    if (!this.#terminal.isTTY) return;
    const now = performance.now();
    if (now - this.#drawnAt < interval) return;
    this.#drawnAt = now;
    this.#drawn = true;
    this.#terminal.write(`\r${this.#line()}\x1b[K`);
  }

  [Symbol.dispose](): void {
    if (this.#drawn) this.#terminal.write('\r\x1b[K');
    this.#drawn = false;
  }

  #line(): string {
    // The last column stays free: a full line would wrap on some terminals.
    const room = (this.#terminal.columns || 80) - 1;
    const amount = bytesInWords(this.#done);
    if (this.#total === undefined) return `${this.#label} ${amount}`.slice(0, room);
    const part = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const percent = `${Math.floor(part * 100)}%`.padStart(4);
    const width = Math.min(widestBar, room - this.#label.length - percent.length - amount.length - 5);
    if (width < 4) return `${this.#label} ${percent.trim()}`.slice(0, room);
    const filled = Math.round(part * width);
    return `${this.#label} ${percent} [${'='.repeat(filled)}${' '.repeat(width - filled)}] ${amount}`;
  }
}

function bytesInWords(bytes: number): string {
  let unit = 0;
  let amount = bytes;
  for (; amount >= 1024 && unit < units.length - 1; unit++) amount /= 1024;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}
