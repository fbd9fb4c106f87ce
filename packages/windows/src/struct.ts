/** Widths of fields, by their words in Microsoft's headers on x64. A pointer is its address. */
const widths = { BYTE: 1, USHORT: 2, DWORD: 4, INT: 4, UINT64: 8, INT64: 8, SIZE_T: 8, POINTER: 8 } as const;

type FieldType = keyof typeof widths;

/** Names and types of fields, in the order of the C declaration. A structure inside is spread into it. */
export type Fields = Readonly<Record<string, FieldType>>;

type FieldValue<Type> = Type extends 'BYTE' | 'USHORT' | 'DWORD' | 'INT' ? number : bigint;

export type StructValues<F extends Fields> = { -readonly [Name in keyof F]: FieldValue<F[Name]> };

/** How a C structure lies in memory on x64: each field at a multiple of its own width, the whole padded to the widest. */
export interface Struct<F extends Fields> {
  /** In bytes. */
  readonly size: number;
  /** The structure's bytes; fields that are not given are 0. Throws a RangeError for a number that does not fit. */
  encode(values: Partial<StructValues<F>>): Buffer;
  /** Reads it at the beginning of `bytes`. Throws a RangeError when they are too few. */
  decode(bytes: Uint8Array): StructValues<F>;
}

export function struct<const F extends Fields>(fields: F): Struct<F> {
  const places: { name: string; type: FieldType; offset: number }[] = [];
  let end = 0;
  let widest = 1;
  for (const [name, type] of Object.entries(fields)) {
    const width = widths[type];
    const offset = alignUp(end, width);
    places.push({ name, type, offset });
    end = offset + width;
    widest = Math.max(widest, width);
  }
  const size = alignUp(end, widest);
  return {
    size,
    encode(values) {
      const bytes = Buffer.alloc(size);
      for (const { name, type, offset } of places) {
        const value = (values as Record<string, number | bigint | undefined>)[name];
        if (value !== undefined) write(bytes, type, offset, value);
      }
      return bytes;
    },
    decode(bytes) {
      if (bytes.length < size) {
        throw new RangeError(`Cannot read a structure of ${size} bytes: there are only ${bytes.length}`);
      }
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, size);
      const values = places.map(({ name, type, offset }) => [name, read(buffer, type, offset)] as const);
      return Object.fromEntries(values) as StructValues<F>;
    },
  };
}

function alignUp(offset: number, width: number): number {
  return Math.ceil(offset / width) * width;
}

function write(bytes: Buffer, type: FieldType, offset: number, value: number | bigint): void {
  if (type === 'INT64') bytes.writeBigInt64LE(value as bigint, offset);
  else if (type === 'INT') bytes.writeInt32LE(value as number, offset);
  else if (widths[type] === 8) bytes.writeBigUInt64LE(value as bigint, offset);
  else bytes.writeUIntLE(value as number, offset, widths[type]);
}

function read(bytes: Buffer, type: FieldType, offset: number): number | bigint {
  if (type === 'INT64') return bytes.readBigInt64LE(offset);
  if (type === 'INT') return bytes.readInt32LE(offset);
  if (widths[type] === 8) return bytes.readBigUInt64LE(offset);
  return bytes.readUIntLE(offset, widths[type]);
}
