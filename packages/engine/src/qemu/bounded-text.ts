/** The end of an output of any length: keeps the last `limit` bytes. */
export class BoundedText {
  readonly #limit: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  append(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
    // Joined only when twice the limit is held, so that a long output costs little.
    if (this.#length > 2 * this.#limit || this.#pieces.length > 256) {
      this.#pieces = [Buffer.concat(this.#pieces).subarray(-this.#limit)];
      this.#length = (this.#pieces[0] as Uint8Array).length;
    }
  }

  toString(): string {
    return Buffer.concat(this.#pieces).subarray(-this.#limit).toString('utf8');
  }
}
