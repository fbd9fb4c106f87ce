/**
 * What the generated tables are made of. A table says the same as the types beside it, in a form that a
 * validator can walk.
 */

/**
 * One document, or a part of one, as the generated tables have it. A field's type is a base type of
 * {@link scalars} or the name of another definition, followed by `[]` for a list of it, `{}` for a map of it,
 * and `@19041` when the field came with a later Windows build than its definition.
 */
export interface DocumentDefinition {
  /** The Windows build with which the definition came, if not the oldest one. */
  readonly since?: number;
  readonly fields?: Readonly<Record<string, string>>;
  /** The type of the field `field` depends on what the field `of` says. */
  readonly settings?: {
    readonly field: string;
    readonly of: string;
    readonly types: Readonly<Record<string, string>>;
  };
  /** The types of `Settings` and `RequestType` depend on the resource that `ResourcePath` names. */
  readonly resources?: readonly Resource[];
  readonly values?: readonly (string | number)[];
  readonly valuesSince?: Readonly<Record<string, number>>;
  /** The name for an integer, for example of flags. */
  readonly integer?: string;
}

/** A part of a compute system that a request can change while the system exists. */
export interface Resource {
  /** In it `%d` stands for a number in decimal digits, and `%s` for a name without a slash. */
  readonly path: string;
  /** The type of `Settings`, as fields have theirs. */
  readonly settings: string;
  /** The request types that it takes. @default each */
  readonly requests?: readonly ('Add' | 'Remove' | 'Update')[];
  /** The Windows build with which it came, if not the oldest one. */
  readonly since?: number;
  /** The service does not look at the settings of a `Remove`. */
  readonly ignoredOnRemove?: boolean;
}

/** The definitions of one family of documents by name. */
export type DocumentTable = Readonly<Record<string, DocumentDefinition>>;

/** A type in the table, taken apart. */
export interface FieldType {
  readonly base: string;
  /** The outermost is the last. */
  readonly wrappers: readonly Wrapper[];
  /** The Windows build with which the field came, 0 for that of its definition. */
  readonly since: number;
}

/** A list or a map of what is inside. */
type Wrapper = '[]' | '{}';

const cache = new Map<string, FieldType>();

/** Takes a type apart: `VirtualPciFunction[]@19041`. */
export function parseFieldType(text: string): FieldType {
  let type = cache.get(text);
  if (!type) {
    const [expression, since] = text.split('@') as [string, string?];
    const wrappers = (expression.match(/\[\]|\{\}/g) ?? []) as Wrapper[];
    type = {
      base: expression.slice(0, expression.length - 2 * wrappers.length),
      wrappers,
      since: Number(since ?? 0),
    };
    cache.set(text, type);
  }
  return type;
}

/** A base type that is no definition. */
export interface Scalar {
  /** What `typeof` says of each value that fits. */
  readonly kind: 'string' | 'boolean' | 'number';
  readonly wanted: string;
  fits(value: unknown): boolean;
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function whole(least: number, most: number, range = `from ${least} to ${most}`): Scalar {
  return {
    kind: 'number',
    wanted: `a whole number ${range}`,
    fits: (value) => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  };
}

function textLike(wanted: string, pattern: RegExp): Scalar {
  return { kind: 'string', wanted, fits: (value) => typeof value === 'string' && pattern.test(value) };
}

/** The base types that are no definitions. `any` is handled by the walk itself. */
export const scalars: Readonly<Record<string, Scalar>> = {
  string: { kind: 'string', wanted: 'a string', fits: (value) => typeof value === 'string' },
  boolean: { kind: 'boolean', wanted: 'true or false', fits: (value) => typeof value === 'boolean' },
  uint8: whole(0, 0xff),
  uint16: whole(0, 0xffff),
  uint32: whole(0, 0xffffffff),
  int32: whole(-0x80000000, 0x7fffffff),
  // A number above 2⁵³ is taken although not each can be written: LUIDs of interfaces are such, and they can.
  uint64: whole(0, 2 ** 64 - 2 ** 11, 'from 0 to 2⁶⁴ − 1'),
  int64: whole(-(2 ** 63), 2 ** 63 - 2 ** 10, 'from −2⁶³ to 2⁶³ − 1'),
  double: { kind: 'number', wanted: 'a number', fits: Number.isFinite },
  guid: textLike('a GUID', /^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$/),
  mac: textLike('a MAC address', /^[0-9A-Fa-f]{2}(?:[-:][0-9A-Fa-f]{2}){5}$/),
  base64: {
    kind: 'string',
    wanted: 'bytes in base64',
    fits: (value) => typeof value === 'string' && value.length % 4 === 0 && base64.test(value),
  },
  datetime: textLike(
    'a time in ISO 8601',
    /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[-+]\d\d:?\d\d)?$/,
  ),
};
