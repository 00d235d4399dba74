/**
 * Dims: sizes, strides and offsets that are integers or symbols.
 *
 * A symbolic dim is a polynomial with integer coefficients over atoms: symbols s0, s1, ... (whose values a program reads at each run) and
 * quotients or remainders that did not simplify. Polynomials are canonical, so two dims are provably equal exactly when their keys are.
 * Operator calls compute with plain numbers; symbols only appear when a program is compiled for changing sizes.
 */
export type Dim = number | SymbolicDim;

export type Atom =
  | { readonly kind: 'symbol'; readonly key: string; readonly slot: number }
  | { readonly kind: 'quotient' | 'remainder'; readonly key: string; readonly left: Dim; readonly right: Dim };

interface Term {
  readonly factor: number;
  readonly atoms: readonly Atom[];
  readonly key: string;
}

export class SymbolicDim {
  readonly terms: readonly Term[];
  readonly key: string;
  constructor(terms: readonly Term[]) {
    this.terms = terms;
    this.key = terms.map((t) => `${t.factor}*${t.key}`).join('+');
  }
  toString(): string {
    return this.terms.map((t) => (t.key === '' ? `${t.factor}` : t.factor === 1 ? t.key : `${t.factor}*${t.key}`)).join(' + ');
  }
  valueOf(): never {
    throw new Error(`internal: the symbolic dim ${this} was used as a number`);
  }
}

const termsOf = (d: Dim): readonly Term[] => (typeof d === 'number' ? (d === 0 ? [] : [{ factor: d, atoms: [], key: '' }]) : d.terms);

function fromTerms(terms: Iterable<Term>): Dim {
  const byKey = new Map<string, Term>();
  for (const t of terms) {
    const seen = byKey.get(t.key);
    byKey.set(t.key, seen === undefined ? t : { ...seen, factor: seen.factor + t.factor });
  }
  const kept = [...byKey.values()].filter((t) => t.factor !== 0).sort((a, b) => (a.key < b.key ? 1 : -1));
  if (kept.length === 0) return 0;
  if (kept.length === 1 && kept[0].key === '') return kept[0].factor;
  return new SymbolicDim(kept);
}

const product = (atoms: readonly Atom[]): Term => {
  const sorted = [...atoms].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return { factor: 1, atoms: sorted, key: sorted.map((a) => a.key).join('*') };
};

/** The symbol whose value stands in slot `slot` of the program's symbols. */
export const symbol = (slot: number): Dim => new SymbolicDim([product([{ kind: 'symbol', key: `s${slot}`, slot }])]);

export const isNumber = (d: Dim): d is number => typeof d === 'number';
export const keyOf = (d: Dim): string => (typeof d === 'number' ? `${d}` : d.key);
export const equal = (a: Dim, b: Dim): boolean => a === b || (typeof a !== 'number' && typeof b !== 'number' && a.key === b.key);

export function add(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  return fromTerms([...termsOf(a), ...termsOf(b)]);
}
export function mul(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const out: Term[] = [];
  for (const x of termsOf(a)) for (const y of termsOf(b)) out.push({ ...product([...x.atoms, ...y.atoms]), factor: x.factor * y.factor });
  return fromTerms(out);
}
export const sub = (a: Dim, b: Dim): Dim => add(a, mul(b, -1));
export const productOf = (dims: readonly Dim[]): Dim => dims.reduce(mul, 1);

/** a / b where b divides a exactly and provably, else null. */
export function exactQuotient(a: Dim, b: Dim): Dim | null {
  if (typeof a === 'number' && typeof b === 'number') return b !== 0 && a % b === 0 ? a / b : null;
  if (equal(a, b)) return 1;
  const divisor = termsOf(b);
  if (divisor.length !== 1) {
    const { whole, rest } = longDivision(a, b);
    return rest === 0 ? whole : null;
  }
  const d = divisor[0];
  const out: Term[] = [];
  for (const t of termsOf(a)) {
    if (t.factor % d.factor !== 0) return null;
    const atoms = [...t.atoms];
    for (const atom of d.atoms) {
      const at = atoms.findIndex((x) => x.key === atom.key);
      if (at < 0) return null;
      atoms.splice(at, 1);
    }
    out.push({ ...product(atoms), factor: t.factor / d.factor });
  }
  return fromTerms(out);
}

/** The term of the highest degree. */
const leading = (d: Dim): Dim =>
  fromTerms([
    termsOf(d).reduce((x, y) => (x.atoms.length !== y.atoms.length ? (x.atoms.length > y.atoms.length ? x : y) : x.key >= y.key ? x : y)),
  ]);

/** Division of polynomials, leading term by leading term, coefficients rounded down: (s0 s1 - 2 s0) / (s1 - 2) is s0. */
function longDivision(a: Dim, b: Dim): { whole: Dim; rest: Dim } {
  const [first] = termsOf(leading(b));
  let left = a;
  let whole: Dim = 0;
  let rest: Dim = 0;
  for (let i = 0; i < 32 && left !== 0; i++) {
    const lead = leading(left);
    const [term] = termsOf(lead);
    const count = Math.floor(term.factor / first.factor);
    const atoms = exactQuotient(fromTerms([{ ...term, factor: 1 }]), fromTerms([{ ...first, factor: 1 }]));
    if (atoms === null || count === 0) {
      rest = add(rest, lead);
      left = sub(left, lead);
    } else {
      const part = mul(atoms, count);
      whole = add(whole, part);
      left = sub(left, mul(part, b));
    }
  }
  return { whole, rest: add(rest, left) };
}

/** a as whole * by + rest, as far as the terms divide; for a number `by` no term of the rest is negative. */
export function divideTerms(a: Dim, by: Dim): { whole: Dim; rest: Dim } {
  if (typeof by !== 'number') {
    const long = longDivision(a, by);
    if (provablyAtMost(0, long.rest)) return long;
  }
  let whole: Dim = 0;
  let rest: Dim = 0;
  for (const t of termsOf(a)) {
    const q = typeof by === 'number' ? fromTerms([{ ...t, factor: Math.floor(t.factor / by) }]) : exactQuotient(fromTerms([t]), by);
    whole = add(whole, q ?? 0);
    rest = add(rest, sub(fromTerms([t]), mul(q ?? 0, by)));
  }
  return { whole, rest };
}

/** floor(a / b) for a >= 0, b > 0. */
export function quotient(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  const exact = exactQuotient(a, b);
  if (exact !== null) return exact;
  return fromTerms([product([{ kind: 'quotient', key: `(${keyOf(a)}/${keyOf(b)})`, left: a, right: b }])]);
}
/** a mod b for a >= 0, b > 0. */
export function remainder(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a % b;
  if (exactQuotient(a, b) !== null) return 0;
  return fromTerms([product([{ kind: 'remainder', key: `(${keyOf(a)}%${keyOf(b)})`, left: a, right: b }])]);
}

/** True when a <= b for all symbol values >= 2 (symbols stand for sizes; 0 and 1 are never symbols). */
export function provablyAtMost(a: Dim, b: Dim): boolean {
  const gap = sub(b, a);
  if (typeof gap === 'number') return gap >= 0;
  // A lower bound of the gap: every atom is at least 2 (a quotient or remainder at least 0), negative terms must cancel exactly.
  let bound = 0;
  for (const t of gap.terms) {
    if (t.key === '') bound += t.factor;
    else if (t.factor < 0) return false;
    else bound += t.atoms.every((x) => x.kind === 'symbol') ? t.factor * 2 ** t.atoms.length : 0;
  }
  return bound >= 0;
}

/** The value under given symbol values. */
export function evaluate(d: Dim, symbols: ArrayLike<number>): number {
  if (typeof d === 'number') return d;
  let sum = 0;
  for (const t of d.terms) {
    let value = t.factor;
    for (const atom of t.atoms) {
      if (atom.kind === 'symbol') value *= symbols[atom.slot];
      else {
        const left = evaluate(atom.left, symbols);
        const right = evaluate(atom.right, symbols);
        value *= atom.kind === 'quotient' ? Math.floor(left / right) : left % right;
      }
    }
    sum += value;
  }
  return sum;
}

/** True where no symbol's growth makes it smaller: sums and products of symbols. */
export const isMonotone = (d: Dim): boolean =>
  typeof d === 'number' || d.terms.every((t) => t.key === '' || (t.factor > 0 && t.atoms.every((a) => a.kind === 'symbol')));

/** A number at or above `n` by an eighth at most, of which there are few: what is planned for it serves all that share it. */
export function boundOf(n: number): number {
  if (n <= 16) return n;
  const step = 2 ** (Math.floor(Math.log2(n)) - 3);
  return Math.ceil(n / step) * step;
}

/** The number, or an error naming what needed it: for attributes that must not vary within a program. */
export function toNumber(d: Dim, what: string): number {
  if (typeof d === 'number') return d;
  throw new Error(`internal: ${what} must be a constant, got the symbolic dim ${d}`);
}
