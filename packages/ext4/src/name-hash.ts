/*
 * The hash by which an htree orders names: MD4 with half of its rounds, over 32 bytes of the name at a time, as
 * signed characters (linux, fs/ext4/hash.c).
 */

const defaultSeed = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476] as const;
const bytesPerTurn = 32;
/** The end of a directory, for a reader of it; a name that has this hash gets the one before. */
const end = 0xfffffffe;

type Round = readonly [order: readonly number[], shifts: readonly number[], constant: number];

const rounds: readonly Round[] = [
  [[0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19], 0],
  [[1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13], 0x5a827999],
  [[3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15], 0x6ed9eba1],
];

/** Hashes names of one file system. The lowest bit of a hash is always 0: an index uses it. */
export class NameHash {
  readonly #seed: Uint32Array;
  readonly #state = new Uint32Array(4);
  readonly #words = new Uint32Array(bytesPerTurn / 4);

  /** `seed` is the superblock's, 16 bytes; all zeros stand for MD4's own. */
  constructor(seed: Uint8Array) {
    const view = new DataView(seed.buffer, seed.byteOffset, 16);
    const words = [0, 4, 8, 12].map((at) => view.getUint32(at, true));
    this.#seed = Uint32Array.from(words.some((word) => word !== 0) ? words : defaultSeed);
  }

  /** Of a byte string. */
  of(name: string): number {
    this.#state.set(this.#seed);
    for (let at = 0; at < name.length; at += bytesPerTurn) {
      this.#load(name, at);
      this.#mix();
    }
    const hash = (this.#state[1]! & ~1) >>> 0;
    return hash === end ? end - 2 : hash;
  }

  /** The next words of the name; its length fills up what it does not reach. */
  #load(name: string, at: number): void {
    const left = name.length - at;
    const filling = Math.imul(left, 0x01010101);
    const count = Math.min(left, bytesPerTurn);
    const words = this.#words;
    for (let index = 0; index < words.length; index++) {
      let word = filling;
      const last = Math.min(index * 4 + 4, count);
      for (let byte = index * 4; byte < last; byte++) {
        const code = name.charCodeAt(at + byte);
        word = ((code << 24) >> 24) + (word << 8);
      }
      words[index] = word;
    }
  }

  #mix(): void {
    const state = this.#state;
    let [a, b, c, d] = state as unknown as [number, number, number, number];
    for (const [turn, [order, shifts, constant]] of rounds.entries()) {
      for (let step = 0; step < 8; step++) {
        const chosen =
          turn === 0 ? d ^ (b & (c ^ d)) : turn === 1 ? ((b & c) + ((b ^ c) & d)) | 0 : b ^ c ^ d;
        const sum = (a + chosen + this.#words[order[step]!]! + constant) | 0;
        const shift = shifts[step % 4]!;
        const turned = (sum << shift) | (sum >>> (32 - shift));
        a = d;
        d = c;
        c = b;
        b = turned;
      }
    }
    state[0]! += a;
    state[1]! += b;
    state[2]! += c;
    state[3]! += d;
  }
}
