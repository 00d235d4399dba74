/**
 * Rewrites composite scalar operations and `round` into basic ones, with one formula for all targets (`math/`).
 *
 * The kernel is rebuilt with a builder of its own: ids and axes of the result are fresh, shared expressions stay shared. What a target
 * provides itself stays: scalar operations in `native`, roundings to the dtypes named in `nativeRound`.
 */
import type { DTypeName } from '../dtype/dtype.ts';
import { type Axis, type Expr, type Kernel, KernelBuilder, type ScalarExpr, type Statement } from './ir.ts';
import { type CompositeOp, FloatMath } from './math/algebra.ts';
import { erf, erfc, erfinv } from './math/error-function.ts';
import { cosh, exp, exp2, expm1, sinh, tanh } from './math/exponential.ts';
import { digamma, lgamma } from './math/gamma.ts';
import { acosh, asinh, atanh, log, log1p, log2, log10 } from './math/logarithm.ts';
import { fmod, pow, powConstant, powInteger } from './math/power.ts';
import { round } from './math/rounding.ts';
import { acos, asin, atan, atan2, cos, sin, tan } from './math/trigonometric.ts';
import { type ScalarOp, scalarOps } from './scalar.ts';

export type UnaryFormula = <T>(m: FloatMath<T>, x: T) => T;
export type BinaryFormula = <T>(m: FloatMath<T>, x: T, y: T) => T;

/** The float formula of every composite operation, over any algebra. */
export const unaryFormulas = {
  exp,
  exp2,
  expm1,
  log,
  log2,
  log10,
  log1p,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  erfc,
  erfinv,
  lgamma,
  digamma,
} as const satisfies Record<Exclude<CompositeOp, 'atan2' | 'pow' | 'fmod'>, UnaryFormula>;
export const binaryFormulas = { atan2, pow, fmod } as const satisfies Record<'atan2' | 'pow' | 'fmod', BinaryFormula>;

const isComposite = (fn: ScalarOp): fn is CompositeOp => scalarOps[fn].level === 'composite';

function expand(builder: KernelBuilder, fn: CompositeOp, args: readonly Expr[]): Expr {
  const [a, b] = args;
  const type = a.type;
  if (fn === 'pow' && (type === 'i32' || type === 'i64')) {
    const m = new FloatMath<Expr>(builder, type === 'i32' ? 'f32' : 'f64');
    return powInteger(m, a, b, b.op === 'const' ? BigInt(b.value) : null);
  }
  if (type !== 'f32' && type !== 'f64') throw new Error(`internal: ${fn} has no formula on ${type}`);
  const m = new FloatMath<Expr>(builder, type);
  if (fn === 'pow' && b.op === 'const') {
    const known = powConstant(m, a, Number(b.value));
    if (known !== null) return known;
  }
  if (fn === 'atan2' || fn === 'pow' || fn === 'fmod') return binaryFormulas[fn](m, a, b);
  return unaryFormulas[fn](m, a);
}

export interface DecomposeOptions {
  readonly nativeRound?: ReadonlySet<DTypeName>;
}

const nothing: ReadonlySet<never> = new Set<never>();

export function decomposeKernel(kernel: Kernel, native: ReadonlySet<ScalarOp> = nothing, options: DecomposeOptions = {}): Kernel {
  const nativeRound = options.nativeRound ?? nothing;
  const builder = new KernelBuilder();
  const axes = new Map<Axis, Axis>();
  const done = new Map<Expr, Expr>();

  const axis = (old: Axis): Axis => {
    let found = axes.get(old);
    if (found === undefined) {
      found = builder.axis(old.name, rewrite(old.extent), old.kind);
      axes.set(old, found);
    }
    return found;
  };
  const scalar = (e: ScalarExpr): Expr => {
    const args = e.args.map(rewrite);
    return isComposite(e.fn) && !native.has(e.fn) ? expand(builder, e.fn, args) : builder.scalar(e.fn, ...args);
  };
  const rewrite = (e: Expr): Expr => {
    let found = done.get(e);
    if (found === undefined) {
      found = rebuild(e);
      done.set(e, found);
    }
    return found;
  };
  const optional = (e: Expr | null): Expr | null => (e === null ? null : rewrite(e));
  function rebuild(e: Expr): Expr {
    switch (e.op) {
      case 'const':
        return builder.const(e.type, e.value);
      case 'param':
        return builder.param(e.type, e.slot);
      case 'axis':
        return builder.use(axis(e.axis));
      case 'load':
        return builder.load(e.buffer, e.type, rewrite(e.index), optional(e.mask), optional(e.anchor));
      case 'scalar':
        return scalar(e);
      case 'cast':
        return builder.cast(e.type, rewrite(e.arg));
      case 'bitcast':
        return builder.bitcast(e.type, rewrite(e.arg));
      case 'round': {
        const arg = rewrite(e.arg);
        return nativeRound.has(e.dtype.name) ? builder.round(e.dtype, arg) : round(new FloatMath<Expr>(builder, 'f32'), e.dtype, arg);
      }
      case 'reduce':
        return builder.reduce(e.kind, e.axes.map(axis), rewrite(e.value));
      default:
        return e satisfies never;
    }
  }
  const statement = (s: Statement): Statement => {
    switch (s.kind) {
      case 'loop':
        return { kind: 'loop', axis: axis(s.axis), body: s.body.map(statement) };
      case 'store':
        return { ...s, index: rewrite(s.index), value: rewrite(s.value), mask: optional(s.mask) };
      default:
        return s satisfies never;
    }
  };
  return { ...kernel, grid: kernel.grid.map(axis), body: kernel.body.map(statement) };
}
