/**
 * Walks over kernel expressions: children, free axes, reachable reductions, rewriting. All memoized per object, as expressions are shared.
 */
import type { Axis, Expr, KernelBuilder, ReduceExpr, Statement } from './ir.ts';

/** The direct operands of an expression. */
export function childrenOf(e: Expr): readonly Expr[] {
  switch (e.op) {
    case 'const':
    case 'param':
    case 'axis':
      return [];
    case 'load':
      return e.mask === null && e.anchor === null ? [e.index] : [e.index, e.mask, e.anchor].filter((x) => x !== null);
    case 'scalar':
      return e.args;
    case 'cast':
    case 'bitcast':
    case 'round':
      return [e.arg];
    case 'reduce':
      return [e.value];
    default:
      return e satisfies never;
  }
}

const noAxes: ReadonlySet<Axis> = new Set();
const freeMemo = new WeakMap<Expr, ReadonlySet<Axis>>();

/** The axes an expression depends on, those bound by its own reductions excluded. */
export function freeAxes(e: Expr): ReadonlySet<Axis> {
  let free = freeMemo.get(e);
  if (free !== undefined) return free;
  if (e.op === 'axis') free = new Set([e.axis]);
  else {
    const children = childrenOf(e);
    if (children.length === 0) free = noAxes;
    else if (children.length === 1 && e.op !== 'reduce') free = freeAxes(children[0]);
    else {
      const union = new Set<Axis>();
      for (const c of children) for (const a of freeAxes(c)) union.add(a);
      if (e.op === 'reduce') for (const a of e.axes) union.delete(a);
      free = union;
    }
  }
  freeMemo.set(e, free);
  return free;
}

/** Every distinct expression below the roots, operands before users. */
export function reachable(roots: Iterable<Expr>): Set<Expr> {
  const seen = new Set<Expr>();
  const visit = (e: Expr): void => {
    if (seen.has(e)) return;
    for (const c of childrenOf(e)) visit(c);
    seen.add(e);
  };
  for (const r of roots) visit(r);
  return seen;
}

/** The expressions that statements mention, nested loops included (axis extents too). */
export function rootsOf(body: readonly Statement[]): Expr[] {
  const roots: Expr[] = [];
  for (const s of body) {
    if (s.kind === 'loop') roots.push(s.axis.extent, ...rootsOf(s.body));
    else {
      roots.push(s.index, s.value);
      if (s.mask !== null) roots.push(s.mask);
    }
  }
  return roots;
}

export function isReduce(e: Expr): e is ReduceExpr {
  return e.op === 'reduce';
}

/** Buffers that statements write. */
export function writtenBuffers(body: readonly Statement[]): Set<number> {
  const written = new Set<number>();
  for (const s of body) {
    if (s.kind === 'store') written.add(s.buffer);
    else for (const b of writtenBuffers(s.body)) written.add(b);
  }
  return written;
}

/**
 * Rebuilds expressions bottom-up in `builder`. `replace` may give a substitute for a node before its operands are looked at, `axis`
 * renames axes (also those of reductions).
 */
export function makeRewriter(
  builder: KernelBuilder,
  options: { readonly replace?: (e: Expr) => Expr | null; readonly axis?: (a: Axis) => Axis },
): (e: Expr) => Expr {
  const memo = new Map<Expr, Expr>();
  const axis = options.axis ?? ((a: Axis): Axis => a);
  const rewrite = (e: Expr): Expr => {
    let result = memo.get(e);
    if (result === undefined) {
      result = options.replace?.(e) ?? rebuild(e);
      memo.set(e, result);
    }
    return result;
  };
  const rebuild = (e: Expr): Expr => {
    switch (e.op) {
      case 'const':
        return builder.const(e.type, e.value);
      case 'param':
        return builder.param(e.type, e.slot);
      case 'axis':
        return builder.use(axis(e.axis));
      case 'load':
        return builder.load(e.buffer, e.type, rewrite(e.index), e.mask && rewrite(e.mask), e.anchor && rewrite(e.anchor));
      case 'scalar':
        return builder.scalar(e.fn, ...e.args.map(rewrite));
      case 'cast':
        return builder.cast(e.type, rewrite(e.arg));
      case 'bitcast':
        return builder.bitcast(e.type, rewrite(e.arg));
      case 'round':
        return builder.round(e.dtype, rewrite(e.arg));
      case 'reduce':
        return builder.reduce(e.kind, e.axes.map(axis), rewrite(e.value));
      default:
        return e satisfies never;
    }
  };
  return rewrite;
}

/** Statements with every expression rewritten and every loop axis renamed. */
export function rewriteStatements(body: readonly Statement[], rewrite: (e: Expr) => Expr, axis: (a: Axis) => Axis = (a) => a): Statement[] {
  return body.map((s): Statement => {
    if (s.kind === 'loop') return { kind: 'loop', axis: axis(s.axis), body: rewriteStatements(s.body, rewrite, axis) };
    return { ...s, index: rewrite(s.index), value: rewrite(s.value), mask: s.mask === null ? null : rewrite(s.mask) };
  });
}

export interface Linear {
  readonly constant: number;
  /** Sum of coefficient * atom; atoms are not sums or constant multiples. */
  readonly terms: ReadonlyMap<Expr, number>;
}
const linearMemo = new WeakMap<Expr, Linear>();

/** An index expression as a constant plus multiples of atoms (axes, parameters, quotients, loaded indices, symbolic products). */
export function linearize(e: Expr): Linear {
  let linear = linearMemo.get(e);
  if (linear === undefined) {
    linear = linearizeNew(e);
    linearMemo.set(e, linear);
  }
  return linear;
}

function linearizeNew(e: Expr): Linear {
  if (e.op === 'const') return { constant: Number(e.value), terms: new Map() };
  if (e.op === 'scalar' && (e.fn === 'add' || e.fn === 'sub')) {
    const a = linearize(e.args[0]);
    const b = linearize(e.args[1]);
    const sign = e.fn === 'add' ? 1 : -1;
    const terms = new Map(a.terms);
    for (const [atom, coefficient] of b.terms) {
      const sum = (terms.get(atom) ?? 0) + sign * coefficient;
      if (sum === 0) terms.delete(atom);
      else terms.set(atom, sum);
    }
    return { constant: a.constant + sign * b.constant, terms };
  }
  if (e.op === 'scalar' && e.fn === 'mul') {
    for (const [factor, other] of [
      [e.args[0], e.args[1]],
      [e.args[1], e.args[0]],
    ]) {
      if (factor.op !== 'const') continue;
      const c = Number(factor.value);
      const a = linearize(other);
      if (c === 0) return { constant: 0, terms: new Map() };
      return { constant: a.constant * c, terms: new Map([...a.terms].map(([atom, k]) => [atom, k * c])) };
    }
  }
  return { constant: 0, terms: new Map([[e, 1]]) };
}
