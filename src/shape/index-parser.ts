/**
 * The parts of an index as users write them, made uniform: `x.at(0, '1:3', null, '...', idx)`, `x.at(':, ::2')`.
 *
 * Pure: tensors pass through as they are (`T`), nested arrays as `list`. What the parts do to a tensor is in `ops/index-parts.ts`. Errors are
 * Python's and PyTorch's; a step must be positive, as there.
 */
export type NestedIndex = number | bigint | boolean | readonly NestedIndex[];
export type IndexPart<T> = number | bigint | boolean | string | null | ArrayBufferView | T | readonly NestedIndex[];

export type ParsedIndex<T> =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'slice'; readonly start: number | null; readonly stop: number | null; readonly step: number }
  | { readonly kind: 'ellipsis' }
  | { readonly kind: 'newaxis' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'tensor'; readonly value: T }
  | { readonly kind: 'list'; readonly value: readonly NestedIndex[] | ArrayBufferView };

const words: Readonly<Record<string, ParsedIndex<never>>> = {
  '...': { kind: 'ellipsis' },
  Ellipsis: { kind: 'ellipsis' },
  None: { kind: 'newaxis' },
  newaxis: { kind: 'newaxis' },
  True: { kind: 'bool', value: true },
  False: { kind: 'bool', value: false },
};

function invalid(what: string): TypeError {
  return new TypeError(
    `only integers, slices (\`:\`), ellipsis (\`...\`), None and long or byte Variables are valid indices (got ${what})`,
  );
}

/** One piece of an index text: an integer, a slice, or a word. */
export function parsePiece(piece: string): ParsedIndex<never> {
  const text = piece.trim();
  const word = Object.hasOwn(words, text) ? words[text] : undefined;
  if (word !== undefined) return word;
  if (/^[+-]?\d+$/.test(text)) return { kind: 'int', value: Number(text) };
  const match = /^([+-]?\d+)?\s*:\s*([+-]?\d+)?\s*(?::\s*([+-]?\d+)?)?$/.exec(text);
  if (match === null) throw invalid(`'${piece}'`);
  const [start, stop, step] = match.slice(1).map((s) => (s === undefined ? null : Number(s)));
  if (step === 0) throw new RangeError('slice step cannot be zero');
  if (step !== null && step < 0) throw new RangeError('step must be greater than zero');
  return { kind: 'slice', start, stop, step: step ?? 1 };
}

/** All parts of an index, strings with commas taken apart. `isTensor` tells tensors from lists. */
export function parseIndex<T>(parts: readonly IndexPart<T>[], isTensor: (x: unknown) => x is T): ParsedIndex<T>[] {
  return parts.flatMap((part): ParsedIndex<T>[] => {
    if (typeof part === 'string') return part.split(',').map(parsePiece);
    if (part === null) return [{ kind: 'newaxis' }];
    if (typeof part === 'boolean') return [{ kind: 'bool', value: part }];
    if (typeof part === 'number' || typeof part === 'bigint') {
      if (typeof part === 'number' && !Number.isInteger(part)) throw invalid('float');
      return [{ kind: 'int', value: Number(part) }];
    }
    if (isTensor(part)) return [{ kind: 'tensor', value: part }];
    if (Array.isArray(part) || ArrayBuffer.isView(part)) return [{ kind: 'list', value: part as readonly NestedIndex[] | ArrayBufferView }];
    if (part === undefined) throw new TypeError("undefined is not an index; for the last index write -1, for a new dim null or 'None'");
    throw invalid(typeof part);
  });
}
