/**
 * A JSON object from somebody else's file, read field by field: each has a type, a range, and perhaps a default.
 *
 * `config.json` decides how many modules are made and how large they are, so nothing in it is believed: a size that is no positive integer, or a
 * text where a number belongs, is an error that names file and field. `null` counts as missing, as it does in transformers.
 */

export type Json = Readonly<Record<string, unknown>>;

export const isJson = (x: unknown): x is Json => typeof x === 'object' && x !== null && !Array.isArray(x);

/** No dimension and no count of a model is larger: products of two stay exact. */
const largest = 2 ** 26;

export class ConfigFields {
  readonly json: Json;
  readonly file: string;

  constructor(json: unknown, file: string) {
    if (!isJson(json)) throw new TypeError(`${file}: expected a JSON object, got ${shown(json)}`);
    this.json = json;
    this.file = file;
  }

  /** The first of these fields that is there. */
  get(...names: readonly string[]): unknown {
    for (const name of names) if (Object.hasOwn(this.json, name) && this.json[name] !== null) return this.json[name];
    return undefined;
  }

  /** A whole number from 1. Several names are one field in the forms that it has had. */
  size(names: string | readonly string[], fallback?: number): number {
    return this.#number(names, fallback, 'a positive integer', (x) => Number.isInteger(x) && x >= 1 && x <= largest);
  }
  /** A finite number. */
  number(names: string | readonly string[], fallback?: number): number {
    return this.#number(names, fallback, 'a number', Number.isFinite);
  }
  /** A number above 0. */
  positive(names: string | readonly string[], fallback?: number): number {
    return this.#number(names, fallback, 'a positive number', (x) => Number.isFinite(x) && x > 0);
  }
  /** A number from 0 to below 1. */
  probability(names: string | readonly string[], fallback?: number): number {
    return this.#number(names, fallback, 'a probability', (x) => x >= 0 && x < 1);
  }
  optionalSize(name: string): number | null {
    return this.get(name) === undefined ? null : this.size(name);
  }
  boolean(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    if (typeof value !== 'boolean') throw this.error(name, 'true or false', value);
    return value;
  }
  text(names: string | readonly string[], fallback?: string): string {
    const all = typeof names === 'string' ? [names] : names;
    const value = this.get(...all) ?? fallback;
    if (typeof value !== 'string') throw this.error(all[0], 'a string', value);
    return value;
  }
  oneOf<T extends string>(names: string | readonly string[], allowed: readonly T[], fallback?: T): T {
    const value = this.text(names, fallback);
    if (!(allowed as readonly string[]).includes(value))
      throw this.error(typeof names === 'string' ? names : names[0], `one of ${allowed.join(', ')}`, value);
    return value as T;
  }
  /** A token or several of them. */
  tokens(name: string): readonly number[] {
    const value = this.get(name);
    const list = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
    return list.map((x) => {
      if (!Number.isInteger(x) || (x as number) < 0) throw this.error(name, 'a token, or a list of them', value);
      return x as number;
    });
  }
  token(name: string): number | null {
    const [first] = this.tokens(name);
    return first ?? null;
  }

  error(name: string, expected: string, got: unknown): TypeError {
    return new TypeError(`${this.file}: "${name}" should be ${expected}, ${got === undefined ? 'but it is missing' : `got ${shown(got)}`}`);
  }

  #number(names: string | readonly string[], fallback: number | undefined, expected: string, good: (x: number) => boolean): number {
    const all = typeof names === 'string' ? [names] : names;
    const value = this.get(...all) ?? fallback;
    if (typeof value !== 'number' || !good(value)) throw this.error(all[0], expected, value);
    return value;
  }
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
