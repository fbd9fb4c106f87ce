import { HcsError } from '@hcsshim/schema';

/** Longest document that is taken from the service, in characters. */
const maxCharacters = 16 * 1024 * 1024;

/** The JSON that the service gave. Throws ERROR_INVALID_DATA for what is none, or too long. */
export function parseAnswer(action: string, text: string | null): unknown {
  if (text === null || text === '') throw badAnswer(action, 'is missing');
  if (text.length > maxCharacters)
    throw badAnswer(action, `has ${text.length} characters, more than ${maxCharacters}`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badAnswer(action, 'is no JSON', cause);
  }
}

/** What a field of a document must be, where the document has it. Other fields are let pass as they are. */
export type AnswerShape = Readonly<
  Record<string, 'string' | 'number' | 'list' | 'object' | 'list of strings'>
>;

const fits: Record<AnswerShape[string], (value: unknown) => boolean> = {
  string: (value) => typeof value === 'string',
  number: (value) => Number.isSafeInteger(value),
  list: (value) => Array.isArray(value) && value.every(isObject),
  object: isObject,
  'list of strings': isStrings,
};

const guid = /^\{?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\}?$/i;

/**
 * The document of an object. Newer services know more fields and words than any schema here, so only the shape
 * is checked.
 */
export function readDocument<Document>(
  action: string,
  text: string | null,
  shape: AnswerShape,
): Document & { ID: string } {
  const value = readShape(action, parseAnswer(action, text), shape);
  const { ID: id } = value;
  if (typeof id !== 'string' || !guid.test(id)) throw badAnswer(action, 'has no "ID" that is a GUID');
  return value as Document & { ID: string };
}

/** An object whose fields have this shape. */
export function readShape(action: string, value: unknown, shape: AnswerShape): Record<string, unknown> {
  if (!isObject(value)) throw badAnswer(action, 'is no object');
  for (const [field, kind] of Object.entries(shape)) {
    const found = value[field];
    if (found !== undefined && found !== null && !fits[kind](found))
      throw badAnswer(action, `has a field "${field}" that is no ${kind}`);
  }
  return value;
}

/** A list of ids. */
export function readIds(action: string, text: string | null): string[] {
  const value = parseAnswer(action, text);
  if (isStrings(value) && value.every((id) => guid.test(id))) return value;
  throw badAnswer(action, 'is no list of GUIDs');
}

export function badAnswer(action: string, problem: string, cause?: unknown): HcsError {
  return new HcsError({
    action: `Cannot ${action}`,
    problem: `the answer of the Host Network Service ${problem}`,
    code: 'ERROR_INVALID_DATA',
    ...(cause === undefined ? {} : { cause }),
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
