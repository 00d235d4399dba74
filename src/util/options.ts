/** Options by name: one that nobody reads is a misspelling, so it is refused as Python refuses an unexpected keyword argument. */

/** Keys of `given` that are not in `known`. */
export function unknownOptions(given: object, known: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(given).filter((name) => !Object.hasOwn(known, name));
}

/** Throws Python's text for the first option that `callee` does not have. */
export function refuseUnknownOptions(callee: string, given: object, known: Readonly<Record<string, unknown>>): void {
  const [unknown] = unknownOptions(given, known);
  if (unknown !== undefined) throw new TypeError(`${callee}() got an unexpected keyword argument '${unknown}'`);
}
