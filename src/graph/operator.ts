/**
 * Operators as the graph sees them: a name and a body over primitives, and the gradient derived from both.
 *
 * `deriveGradient` cuts forward and backward apart once per signature. What the gradient needs from the forward trace is, in this order:
 * an input, an output, a constant; an element-wise value is recomputed from these; anything else (a reduction, a product, a look-up)
 * becomes a hidden output of the forward node. The gradient is then an operator of its own, so gradients of gradients need no extra rule.
 */
import type { DType } from '../dtype/dtype.ts';
import type { Dim } from '../shape/dim.ts';
import { input, isSavedForBackward, Prim, type PrimBody, param, resultsOf } from './prim.ts';
import { topological, vjp } from './vjp.ts';

/** What a body gets beside its inputs: constants (part of the signature), dims (integers that may become symbols), params (numbers that change freely). */
export interface BodyContext<C = unknown> {
  readonly constants: C;
  readonly dims: readonly Dim[];
  readonly params: readonly Prim[];
}

export type Body<C = unknown> = (inputs: readonly Prim[], context: BodyContext<C>) => readonly Prim[];
/** Gradients of the inputs; `grads[k]` is null where output k got none. */
export type GradientBody<C = unknown> = (
  grads: readonly (Prim | null)[],
  inputs: readonly Prim[],
  outputs: readonly Prim[],
  context: BodyContext<C>,
) => readonly (Prim | null)[];

export interface Operator<C = unknown> {
  readonly name: string;
  readonly body: Body<C>;
  readonly gradient?: GradientBody<C> | undefined;
  /** `elementwise`: results get TensorIterator's strides; otherwise row-major. */
  readonly layout?: 'elementwise' | undefined;
  /** dtypes of the params, given the constants. */
  readonly paramTypes?: ((constants: C) => readonly DType[]) | undefined;
}

/** Where a gradient's input comes from. `extra`: only the gradient of a hidden output (a second backward) reads it. */
export type Saved = { readonly from: 'input' | 'output' | 'hidden' | 'grad'; readonly index: number; readonly extra?: true };

export interface GradientPlan {
  /** The gradient as an operator; its inputs are `saved`, in order; its outputs the gradients of `wrt`, in order. */
  readonly operator: Operator<GradientConstants>;
  readonly saved: readonly Saved[];
  /** Indices of inputs that get a gradient (others that require grad get none: null). */
  readonly wrt: readonly number[];
}
export interface GradientConstants {
  readonly constants: unknown;
}

export interface FormalInput {
  readonly shape: readonly Dim[];
  readonly dtype: DType;
}

export const formals = (types: readonly FormalInput[]): Prim[] => types.map((t, i) => input(i, t.shape, t.dtype));
export const formalParams = (types: readonly DType[]): Prim[] => types.map((t, i) => param(i, t));

/** Rebuilds `roots` with some prims replaced. */
export function substitute(roots: readonly Prim[], replacements: ReadonlyMap<Prim, Prim>): Prim[] {
  const done = new Map<Prim, Prim>(replacements);
  for (const p of topological(roots, (q) => replacements.has(q))) {
    if (done.has(p)) continue;
    const changed = p.srcs.some((s) => done.get(s) !== s);
    if (changed && p.body.op === 'result') {
      done.set(p, resultsOf(done.get(p.srcs[0])!)[p.body.index]);
      continue;
    }
    done.set(p, changed ? new Prim({ ...p.body, srcs: p.srcs.map((s) => done.get(s)!) } as PrimBody, p.shape, p.dtype) : p);
  }
  return roots.map((r) => done.get(r)!);
}

interface Cut {
  readonly gradients: readonly (Prim | null)[];
  readonly hidden: readonly Prim[];
  readonly saved: readonly { readonly source: Saved; readonly prim: Prim }[];
}

const recomputable = (p: Prim): boolean => {
  if (isSavedForBackward(p)) return false;
  switch (p.body.op) {
    case 'const':
    case 'param':
    case 'dim':
    case 'iota':
    case 'scalar':
    case 'cast':
    case 'bitcast':
    case 'view':
    case 'pad':
    case 'complex':
    case 'part':
    case 'after':
      return true;
    default:
      return false;
  }
};

/** Hidden outputs that have got gradients themselves: what a backward saved is part of the graph when a graph of the gradient is made. */
interface HiddenSeeds {
  readonly prims: readonly Prim[];
  readonly seeded: readonly boolean[];
}

/** The gradient of one traced call, and what crosses from the forward side. With `hiddenSeeds` only those prims cross as hidden outputs. */
function cut<C>(
  op: Operator<C>,
  inputs: readonly Prim[],
  outputs: readonly Prim[],
  context: BodyContext<C>,
  needs: readonly boolean[],
  seeded: readonly boolean[],
  hiddenSeeds: HiddenSeeds | null = null,
): Cut {
  const visibleSeeds = outputs.map((out, k) => (seeded[k] ? input(-1 - k, out.shape, out.dtype) : null));
  const innerSeeds = (hiddenSeeds?.prims ?? []).map((p, k) =>
    hiddenSeeds!.seeded[k] ? input(-1 - outputs.length - k, p.shape, p.dtype) : null,
  );
  const seeds = [...visibleSeeds, ...innerSeeds];
  const wrt = inputs.filter((_, i) => needs[i]);
  const pairsOf = (outs: readonly Prim[], of: readonly (Prim | null)[]) => outs.flatMap((out, k) => (of[k] ? [[out, of[k]] as const] : []));
  const innerPairs = pairsOf(hiddenSeeds?.prims ?? [], innerSeeds);
  let gradients: (Prim | null)[];
  if (op.gradient) {
    const all = visibleSeeds.some((g) => g !== null) ? op.gradient(visibleSeeds, inputs, outputs, context) : inputs.map(() => null);
    gradients = inputs.flatMap((_, i) => (needs[i] ? [all[i] ?? null] : []));
    if (innerPairs.length > 0) {
      const inner = vjp(innerPairs, wrt, inputs);
      gradients = gradients.map((g, i) => (g && inner[i] ? g.add(inner[i]) : (g ?? inner[i])));
    }
  } else gradients = vjp([...pairsOf(outputs, visibleSeeds), ...innerPairs], wrt, inputs);
  const crossing = hiddenSeeds === null ? null : new Set(hiddenSeeds.prims);
  // A call inside a program has the whole program behind its inputs.
  const forward = new Set(topological(outputs, (p) => inputs.includes(p)));
  const saved: { source: Saved; prim: Prim }[] = [];
  const hidden: Prim[] = [];
  const outputIndex = new Map(outputs.map((o, k) => [o, k] as const));
  const inputIndex = new Map(inputs.map((o, k) => [o, k] as const));
  const stops = new Set<Prim>();
  // Visit in topological order with cuts at what is saved, so the list's order depends on structure only.
  const roots = gradients.filter((g): g is Prim => g !== null);
  topological(roots, (p) => {
    if (stops.has(p)) return true;
    const seedAt = seeds.indexOf(p);
    let source: Saved | null = null;
    if (seedAt >= 0) source = { from: 'grad', index: seedAt };
    else if (inputIndex.has(p)) source = { from: 'input', index: inputIndex.get(p)! };
    else if (forward.has(p) && outputIndex.has(p) && !isLeafPrim(p)) source = { from: 'output', index: outputIndex.get(p)! };
    else if (
      (forward.has(p) || (p.body.op === 'result' && forward.has(p.srcs[0]))) &&
      !recomputable(p) &&
      (crossing === null || crossing.has(p))
    ) {
      source = { from: 'hidden', index: hidden.length };
      hidden.push(p);
    }
    if (source === null) return false;
    stops.add(p);
    saved.push({ source, prim: p });
    return true;
  });
  return { gradients, hidden, saved };
}

const isLeafPrim = (p: Prim): boolean => p.srcs.length === 0;

export interface TracedCall {
  readonly inputs: readonly Prim[];
  readonly outputs: readonly Prim[];
  readonly hidden: readonly Prim[];
}

/** Traces a call: its outputs, and the hidden outputs that a gradient with respect to `needs` will want. */
export function traceCall<C>(
  op: Operator<C>,
  inputs: readonly Prim[],
  context: BodyContext<C>,
  needs: readonly boolean[] | null,
): TracedCall & { saved: readonly Saved[]; wrt: readonly number[] } {
  const outputs = op.body(inputs, context);
  if (needs === null) return { inputs, outputs, hidden: [], saved: [], wrt: [] };
  const { hidden, saved: crossing, gradients } = cut(op, inputs, outputs, context, needs, outputs.map(differentiable));
  const needed = inputs.flatMap((_, i) => (needs[i] ? [i] : []));
  const saved = crossing.map((s) => s.source);
  if (hidden.some(differentiable)) {
    const again = cut(op, inputs, outputs, context, needs, outputs.map(differentiable), {
      prims: hidden,
      seeded: hidden.map(differentiable),
    });
    for (const { source } of again.saved) {
      if (source.from !== 'input' && source.from !== 'output') continue;
      if (!saved.some((s) => s.from === source.from && s.index === source.index)) saved.push({ ...source, extra: true });
    }
  }
  return { inputs, outputs, hidden, saved, wrt: needed.filter((_, k) => gradients[k] !== null) };
}

export const differentiable = (p: { readonly dtype: DType }): boolean => p.dtype.is_floating_point || p.dtype.is_complex;

/**
 * The gradient of `op` as an operator, for outputs, then hidden outputs, that got a gradient (`seeded`). The forward call's input shapes are not attributes of it:
 * they are dims, after the call's own: `shapes` gives their ranks, so that a program with symbols retraces it the same way.
 */
export function deriveGradient<C>(
  op: Operator<C>,
  types: readonly FormalInput[],
  context: { readonly constants: C; readonly dims: readonly Dim[] },
  needs: readonly boolean[],
  seeded: readonly boolean[],
): GradientPlan {
  const ranks = types.map((t) => t.shape.length);
  const dtypes = types.map((t) => t.dtype);
  const callDims = context.dims.length;
  const params = op.paramTypes?.(context.constants) ?? [];
  const retrace = (dims: readonly Dim[]): Cut & { outputs: readonly Prim[]; params: readonly Prim[] } => {
    let at = callDims;
    const inputs = formals(
      ranks.map((rank, i) => {
        const shape = dims.slice(at, at + rank);
        at += rank;
        return { shape, dtype: dtypes[i] };
      }),
    );
    const full: BodyContext<C> = { constants: context.constants, dims: dims.slice(0, callDims), params: formalParams(params) };
    const outputs = op.body(inputs, full);
    // Hidden outputs are numbered as the forward call numbered them: by the cut for all differentiable outputs.
    const all = cut(op, inputs, outputs, full, needs, outputs.map(differentiable));
    const inner = seeded.slice(outputs.length);
    const mine = cut(
      op,
      inputs,
      outputs,
      full,
      needs,
      seeded.slice(0, outputs.length),
      inner.includes(true) ? { prims: all.hidden, seeded: inner } : null,
    );
    const saved = mine.saved.map((s) =>
      s.source.from === 'hidden' ? { prim: s.prim, source: { from: 'hidden' as const, index: all.hidden.indexOf(s.prim) } } : s,
    );
    return { gradients: mine.gradients, hidden: all.hidden, saved, outputs, params: full.params };
  };
  const first = retrace([...context.dims, ...types.flatMap((t) => t.shape)]);
  const needed = types.flatMap((_, i) => (needs[i] ? [i] : []));
  const operator: Operator<GradientConstants> = {
    name: `${op.name}_backward`,
    paramTypes: () => params,
    body: (inputs, gradientContext) => {
      const again = retrace(gradientContext.dims);
      const replaced = new Map<Prim, Prim>();
      again.saved.forEach((s, i) => {
        replaced.set(s.prim, inputs[i]);
      });
      again.params.forEach((p, i) => {
        replaced.set(p, gradientContext.params[i]);
      });
      return substitute(
        again.gradients.filter((g): g is Prim => g !== null),
        replaced,
      );
    },
  };
  return { operator, saved: first.saved.map((s) => s.source), wrt: needed.filter((_, k) => first.gradients[k] !== null) };
}
