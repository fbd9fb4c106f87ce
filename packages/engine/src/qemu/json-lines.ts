/** What {@link JsonLineDecoder} throws; `message` says what is wrong with the stream. */
export class JsonLineError extends Error {
  override readonly name = 'JsonLineError';
}

const newline = 0x0a;

/** Cuts a byte stream into lines and reads each as one JSON object. Empty lines are skipped. */
export class JsonLineDecoder {
  readonly #limit: number;
  readonly #pieces: Uint8Array[] = [];
  #held = 0;

  /** @param limit The longest line that is accepted, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The objects that `bytes` completes. Throws {@link JsonLineError}; nothing can be read after that. */
  push(bytes: Uint8Array): Record<string, unknown>[] {
    const objects: Record<string, unknown>[] = [];
    let rest = bytes;
    for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
      this.#hold(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
      const line = this.#take();
      if (line !== '') objects.push(parseObject(line));
    }
    if (rest.length > 0) this.#hold(rest);
    return objects;
  }

  #hold(piece: Uint8Array): void {
    this.#held += piece.length;
    if (this.#held > this.#limit) throw new JsonLineError(`a line is longer than ${this.#limit} bytes`);
    this.#pieces.push(piece);
  }

  #take(): string {
    const line = Buffer.concat(this.#pieces).toString('utf8').trim();
    this.#pieces.length = 0;
    this.#held = 0;
    return line;
  }
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new JsonLineError('a line is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonLineError('a line is JSON but not an object');
  }
  return value as Record<string, unknown>;
}
