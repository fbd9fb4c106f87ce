import { HcsError } from './hresult.ts';

/**
 * Readers turn what a peer sent, of which nothing is known, into a typed document, or say which field does
 * not fit. They are as tolerant as Go's decoder where upstream's peers rely on that: an unknown field is
 * ignored and `null` counts as absent. Values never go into an error, because they may be secrets.
 */
export type Reader<T> = (value: unknown, field: string) => T;

/** A reader whose field may be absent. */
export interface OptionalReader<T> {
  readonly optional: Reader<T>;
}

/** A reader for each field of `T`; the optional fields of `T` take an {@link OptionalReader}. */
export type Fields<T> = {
  readonly [K in keyof T]-?: Pick<T, K> extends Required<Pick<T, K>>
    ? Reader<T[K]>
    : OptionalReader<Exclude<T[K], undefined>>;
};

class FieldMismatch extends Error {}

function mismatch(field: string, wanted: string, value: unknown): FieldMismatch {
  const subject = field === '' ? 'the document' : `field "${field}"`;
  if (value === undefined || value === null) return new FieldMismatch(`${subject} is missing`);
  const got = Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
  return new FieldMismatch(`${subject} must be ${wanted}, not ${got}`);
}

export const text: Reader<string> = (value, field) => {
  if (typeof value !== 'string') throw mismatch(field, 'a string', value);
  return value;
};

export const flag: Reader<boolean> = (value, field) => {
  if (typeof value !== 'boolean') throw mismatch(field, 'true or false', value);
  return value;
};

/** A number, for measurements that may exceed 2⁵³ or have a fraction. */
export const quantity: Reader<number> = (value, field) => {
  if (typeof value !== 'number') throw mismatch(field, 'a number', value);
  return value;
};

/** A whole number from `least` to `most`. */
export function integer(least: number, most: number): Reader<number> {
  return (value, field) => {
    if (typeof value !== 'number') throw mismatch(field, 'a number', value);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new FieldMismatch(`field "${field}" must be a whole number from ${least} to ${most}`);
    }
    return value;
  };
}

export const uint8 = integer(0, 0xff);
export const uint16 = integer(0, 0xffff);
export const uint32 = integer(0, 0xffffffff);
export const int32 = integer(-0x80000000, 0x7fffffff);
/** A size or an offset: 64 bits on the wire, exact up to 2⁵³. */
export const size = integer(0, Number.MAX_SAFE_INTEGER);

/** One of a fixed set of words. */
export function word<T extends string>(words: readonly T[]): Reader<T> {
  return (value, field) => {
    if (typeof value !== 'string') throw mismatch(field, 'a string', value);
    if (!(words as readonly string[]).includes(value)) {
      throw new FieldMismatch(`field "${field}" must be one of ${words.join(', ')}`);
    }
    return value as T;
  };
}

/** An object of which nothing more is checked. */
export const anyObject: Reader<Record<string, unknown>> = (value, field) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw mismatch(field, 'an object', value);
  }
  return value as Record<string, unknown>;
};

export const anything: Reader<unknown> = (value) => value;

export function listOf<T>(item: Reader<T>): Reader<T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw mismatch(field, 'a list', value);
    return value.map((element, index) => item(element, `${field}[${index}]`));
  };
}

/** An object used as a map: any key, every value read by `item`. */
export function mapOf<T>(item: Reader<T>): Reader<Record<string, T>> {
  return (value, field) =>
    Object.fromEntries(
      Object.entries(anyObject(value, field)).map(([key, entry]) => [key, item(entry, `${field}.${key}`)]),
    );
}

export function optional<T>(reader: Reader<T>): OptionalReader<T> {
  return { optional: reader };
}

/** Reads an absent field as `fallback`, as Go's zero values do for a field that the sender left out. */
export function withDefault<T>(reader: Reader<T>, fallback: T): Reader<T> {
  return (value, field) => (value === undefined || value === null ? fallback : reader(value, field));
}

/** An object with the fields of `T`; fields that `T` does not have are dropped. */
export function record<T extends object>(fields: Fields<T>): Reader<T> {
  const entries = Object.entries(fields) as [string, Reader<unknown> | OptionalReader<unknown>][];
  return (value, field) => {
    const source = anyObject(value, field);
    const result: Record<string, unknown> = {};
    for (const [key, reader] of entries) {
      const path = field === '' ? key : `${field}.${key}`;
      const entry = Object.hasOwn(source, key) ? source[key] : undefined;
      if (typeof reader === 'function') result[key] = reader(entry ?? undefined, path);
      else if (entry !== undefined && entry !== null) result[key] = reader.optional(entry, path);
    }
    return result as T;
  };
}

/** As {@link record}, but gives back the object that was read, with the fields that `T` does not name. */
export function openRecord<T extends object>(fields: Fields<T>): Reader<T> {
  const check = record(fields);
  return (value, field) => {
    check(value, field);
    return value as T;
  };
}

/** Reads `value` as `document`. Throws HCS_E_INVALID_JSON with the field that does not fit. */
export function readDocument<T>(document: string, value: unknown, reader: Reader<T>): T {
  try {
    return reader(value, '');
  } catch (error) {
    if (!(error instanceof FieldMismatch)) throw error;
    throw new HcsError({
      action: `Cannot read ${document}`,
      problem: error.message,
      code: 'HCS_E_INVALID_JSON',
    });
  }
}

/** Parses `json` and reads it as `document`. Throws HCS_E_INVALID_JSON. */
export function parseDocument<T>(document: string, json: string, reader: Reader<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new HcsError({
      action: `Cannot read ${document}`,
      problem: 'it is not JSON',
      code: 'HCS_E_INVALID_JSON',
      cause: error,
    });
  }
  return readDocument(document, value, reader);
}
