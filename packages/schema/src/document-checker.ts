import {
  type DocumentDefinition,
  type DocumentTable,
  type FieldType,
  parseFieldType,
  scalars,
} from './document-table.ts';
import { HcsError } from './hresult.ts';
import { nearestName } from './nearest-name.ts';
import { readResourceRequest } from './resource-request.ts';

export interface CheckOptions {
  /**
   * The build of the Windows that the document is for, for example 17763: a field that came later is refused.
   * @default any build
   */
  build?: number;
  /** Lets fields pass that no schema knows. @default false */
  allowUnknownFields?: boolean;
  /**
   * Lets a `ResourcePath` pass that no schema knows, with any `Settings`, where a service is to judge that may
   * know more.
   * @default what `allowUnknownFields` says
   */
  allowUnknownResources?: boolean;
  /** How deep objects and lists may be nested. @default 64 */
  maxDepth?: number;
  /** How many values a document may hold: fields, entries of maps and items of lists. @default 100000 */
  maxValues?: number;
  /** How many characters all names and texts may have together. @default 16777216 */
  maxCharacters?: number;
}

/** Where and why a document does not fit. */
export interface DocumentFault {
  /** `VirtualMachine.Devices.Scsi["0"].Attachments["1"].Type`, or empty for the document itself. */
  path: string;
  /** What was found, what is allowed. Never the value that was found, which may be secret. */
  problem: string;
}

export interface DocumentChecker<Documents> {
  /**
   * Returns `value` as the document `type`. Throws HCS_E_INVALID_JSON with the first field that does not fit.
   * `null` counts as absent, as in the readers of messages.
   */
  checkDocument<Name extends keyof Documents & string>(
    type: Name,
    value: unknown,
    options?: CheckOptions,
  ): Documents[Name];
  /** The first field that does not fit, or undefined. */
  findFault(
    type: keyof Documents & string,
    value: unknown,
    options?: CheckOptions,
  ): DocumentFault | undefined;
}

/** The validator of one family of documents. */
export function checkerOf<Documents>(table: DocumentTable): DocumentChecker<Documents> {
  function findFault(type: string, value: unknown, options: CheckOptions = {}): DocumentFault | undefined {
    if (!Object.hasOwn(table, type))
      throw new TypeError(`Cannot check a "${type}": there is no such document`);
    return new DocumentWalk(table, options).findFault(type, value);
  }

  function checkDocument<Name extends keyof Documents & string>(
    type: Name,
    value: unknown,
    options?: CheckOptions,
  ): Documents[Name] {
    const fault = findFault(type, value, options);
    if (fault === undefined) return value as Documents[Name];
    const subject = fault.path === '' ? 'the document' : `field "${fault.path}"`;
    throw new HcsError({
      action: `Cannot use the document "${type}"`,
      problem: `${subject} ${fault.problem}`,
      code: 'HCS_E_INVALID_JSON',
    });
  }

  return { checkDocument, findFault };
}

/** A value that is to be looked at, and the way to it. */
interface Spot {
  readonly value: unknown;
  readonly type: FieldType;
  readonly step: string;
  readonly depth: number;
  readonly parent?: Spot;
  /** What is wrong with the value although it has its type. */
  readonly problem?: string | undefined;
}

/** Ends a walk. Thrown, because it may come up anywhere on the way. */
class Misfit extends Error {
  readonly spot: Spot;

  constructor(spot: Spot, problem: string) {
    super(problem);
    this.spot = spot;
  }
}

const anyType = parseFieldType('any');

/** Looks at one document, value by value, without recursion: how deep it is nested costs no stack. */
class DocumentWalk {
  readonly #table: DocumentTable;
  readonly #options: CheckOptions;
  readonly #build: number;
  readonly #maxDepth: number;
  readonly #maxValues: number;
  readonly #maxCharacters: number;
  readonly #waiting: Spot[] = [];
  #values = 0;
  #characters = 0;

  constructor(table: DocumentTable, options: CheckOptions) {
    this.#table = table;
    this.#options = options;
    this.#build = options.build ?? Number.POSITIVE_INFINITY;
    this.#maxDepth = options.maxDepth ?? 64;
    this.#maxValues = options.maxValues ?? 100_000;
    this.#maxCharacters = options.maxCharacters ?? 16 * 1024 * 1024;
  }

  findFault(type: string, value: unknown): DocumentFault | undefined {
    this.#waiting.push({ value, type: parseFieldType(type), step: '', depth: 0 });
    try {
      for (let spot = this.#waiting.pop(); spot !== undefined; spot = this.#waiting.pop()) {
        const inside = this.#visit(spot, spot.type);
        if (spot.problem !== undefined) throw new Misfit(spot, spot.problem);
        // The first on top of the stack, so that faults are found in the order of the document.
        for (let index = inside.length - 1; index >= 0; index--) this.#waiting.push(inside[index] as Spot);
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      return { path: pathTo(error.spot), problem: error.message };
    }
  }

  /** The values in a value that are to be visited. */
  #visit(spot: Spot, type: FieldType): Spot[] {
    if (spot.depth > this.#maxDepth) throw new Misfit(spot, `is nested deeper than ${this.#maxDepth} levels`);
    if (typeof spot.value === 'string') this.#countCharacters(spot, spot.value);
    const wrapper = type.wrappers.at(-1);
    if (wrapper !== undefined) {
      const inner: FieldType = { base: type.base, wrappers: type.wrappers.slice(0, -1), since: 0 };
      return wrapper === '[]' ? this.#visitList(spot, inner) : this.#visitMap(spot, inner);
    }
    if (type.base === 'any') return this.#visitAny(spot);
    if (Object.hasOwn(scalars, type.base)) return this.#visitScalar(spot, type.base);
    return this.#visitDefinition(spot, this.#table[type.base] as DocumentDefinition);
  }

  #visitScalar(spot: Spot, name: string): [] {
    const scalar = scalars[name];
    if (!scalar?.fits(spot.value)) throw mismatch(spot, scalar?.wanted ?? name, scalar?.kind);
    return [];
  }

  #visitDefinition(spot: Spot, definition: DocumentDefinition): Spot[] {
    this.#requireBuild(spot, 'exists', definition.since);
    if (definition.integer !== undefined) return this.#visitScalar(spot, definition.integer);
    if (definition.values === undefined) return this.#visitObject(spot, definition);
    if (!(definition.values as readonly unknown[]).includes(spot.value))
      throw mismatch(spot, oneOf(definition.values), typeof definition.values[0]);
    // The value is a word of the schema here, so it may be shown.
    this.#requireBuild(
      spot,
      `is "${spot.value}", which exists`,
      definition.valuesSince?.[String(spot.value)],
    );
    return [];
  }

  #visitObject(spot: Spot, definition: DocumentDefinition): Spot[] {
    const source = objectAt(spot);
    const inside: Spot[] = [];
    const fields = definition.fields ?? {};
    const request =
      definition.resources &&
      readResourceRequest(definition.resources, source, {
        build: this.#build,
        allowUnknown: this.#options.allowUnknownResources ?? this.#options.allowUnknownFields ?? false,
      });
    for (const [name, value] of Object.entries(source)) {
      const known = Object.hasOwn(fields, name) ? fields[name] : undefined;
      const field: Spot = {
        value,
        type: known === undefined ? anyType : parseFieldType(known),
        step: fieldStep(name),
        depth: spot.depth + 1,
        parent: spot,
      };
      this.#countCharacters(field, name);
      if (known === undefined && !this.#options.allowUnknownFields) {
        const near = nearestName(name, Object.keys(fields));
        throw new Misfit(field, near === undefined ? 'is unknown' : `is unknown, did you mean "${near}"?`);
      }
      // JSON leaves out the first, and Go writes the second for what is absent.
      if (value === undefined || value === null) continue;
      this.#countValues(field, 1);
      this.#requireBuild(field, 'exists', field.type.since);
      const type = name === 'Settings' && request ? request.settings : settingsType(definition, name, source);
      inside.push({
        ...field,
        ...(type !== undefined && { type: parseFieldType(type) }),
        problem: request?.problems[name as keyof typeof request.problems],
      });
    }
    return inside;
  }

  #visitMap(spot: Spot, inner: FieldType): Spot[] {
    const inside: Spot[] = [];
    for (const [key, value] of Object.entries(objectAt(spot))) {
      if (value === undefined) continue;
      const entry: Spot = {
        value,
        type: inner,
        step: keyStep(key),
        depth: spot.depth + 1,
        parent: spot,
      };
      this.#countCharacters(entry, key);
      this.#countValues(entry, 1);
      inside.push(entry);
    }
    return inside;
  }

  #visitList(spot: Spot, inner: FieldType): Spot[] {
    if (!Array.isArray(spot.value)) throw mismatch(spot, 'a list');
    this.#countValues(spot, spot.value.length);
    return Array.from(spot.value as unknown[], (value, index) => ({
      value,
      type: inner,
      step: `[${index}]`,
      depth: spot.depth + 1,
      parent: spot,
    }));
  }

  /** Any JSON value. What it holds must be JSON too, and counts. */
  #visitAny(spot: Spot): Spot[] {
    const { value } = spot;
    if (Array.isArray(value)) return this.#visitList(spot, anyType);
    if (typeof value === 'object' && value !== null) return this.#visitMap(spot, anyType);
    const isJson =
      value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
    if (!isJson) throw mismatch(spot, 'a JSON value');
    return [];
  }

  #requireBuild(spot: Spot, what: string, since: number | undefined): void {
    if (since !== undefined && since > this.#build)
      throw new Misfit(
        spot,
        `${what} since Windows build ${since}, the document is for build ${this.#build}`,
      );
  }

  #countValues(spot: Spot, count: number): void {
    this.#values += count;
    if (this.#values > this.#maxValues)
      throw new Misfit(spot, `is more than the ${this.#maxValues} values that a document may hold`);
  }

  #countCharacters(spot: Spot, text: string): void {
    this.#characters += text.length;
    if (this.#characters > this.#maxCharacters)
      throw new Misfit(spot, `is more than the ${this.#maxCharacters} characters that a document may hold`);
  }
}

/** The type of a field whose type depends on another field's word. */
function settingsType(
  { settings }: DocumentDefinition,
  name: string,
  source: Record<string, unknown>,
): string | undefined {
  if (settings?.field !== name) return undefined;
  const word = Object.hasOwn(source, settings.of) ? source[settings.of] : undefined;
  return typeof word === 'string' && Object.hasOwn(settings.types, word) ? settings.types[word] : undefined;
}

function objectAt(spot: Spot): Record<string, unknown> {
  const { value } = spot;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(spot, 'an object');
  return value as Record<string, unknown>;
}

/** `kind` is what the value had to be before anything else: a wrong string is "not another string". */
function mismatch(spot: Spot, wanted: string, kind?: string): Misfit {
  const found = typeof spot.value === kind ? `another ${kind}` : kindOf(spot.value);
  return new Misfit(spot, `must be ${wanted}, not ${found}`);
}

/** What a value is, without the value. */
function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

const mostWords = 16;

function oneOf(values: readonly (string | number)[]): string {
  const words = values.slice(0, mostWords).map((value) => (value === '' ? '""' : String(value)));
  const rest = values.length - words.length;
  return `one of ${words.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** A path with more steps is shown without its middle. */
const mostSteps = 24;

function pathTo(spot: Spot): string {
  const steps: string[] = [];
  for (let at: Spot | undefined = spot; at !== undefined; at = at.parent) steps.push(at.step);
  steps.reverse();
  if (steps.length > mostSteps) steps.splice(mostSteps / 2, steps.length - mostSteps, ' … ');
  const path = steps.join('');
  return path.startsWith('.') ? path.slice(1) : path;
}

function fieldStep(name: string): string {
  return /^[A-Za-z_]\w{0,63}$/.test(name) ? `.${name}` : keyStep(name);
}

/** Names come from the document; they are cut so that an error cannot become as long as it. */
function keyStep(key: string): string {
  return `[${JSON.stringify(key.length > 64 ? `${key.slice(0, 64)}…` : key)}]`;
}
