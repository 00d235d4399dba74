/**
 * Backward: one walk over the edges, newest first. Each edge's gradient is one recorded call, so a backward is pending work like any other and
 * is computed together with the forward and the optimizer's step.
 */
import type { DType } from '../dtype/dtype.ts';
import type { Value } from '../graph/node.ts';
import { differentiable } from '../graph/operator.ts';
import type { View } from '../shape/view.ts';
import { engineOf } from '../tensor/devices.ts';
import { collectCalls, record } from '../tensor/record.ts';
import { holding } from '../tensor/scope.ts';
import { Storage, Tensor } from '../tensor/tensor.ts';
import { sink } from '../tensor/tracing.ts';
import { flags } from '../util/flags.ts';
import { accumulate, accumulateCall, gradientCall, seededBy } from './gradients.ts';
import { anomaly, modes } from './modes.ts';
import { findPlan, isPlain, keepPlan, type Match, type NotedCall, type NotedResult, type NotedWalk, replay } from './replay.ts';
import { type Arrivals, Edge, type EdgeTarget, type SavedValue, Tape } from './tape.ts';

interface Contribution {
  readonly grad: Tensor;
  readonly view: View;
  readonly offset: number;
}

/** A tensor over a value without making it a user's handle. */
export function bare(value: Value, view: View, offset: number, tape: Tape): Tensor {
  const visible = value.visible;
  const t = new Tensor(new Storage(value), view, offset, tape);
  value.visible = visible;
  return t;
}
export const noTape = (): Tape => new Tape(null, 0, null);
/** The tape of what a gradient only reads: never written, so one serves all. */
const untracked = noTape();

const longName = (edge: string): string => (edge === 'CopySlices' ? 'torch::autograd::CopySlices' : edge);

function checkVersion(s: SavedValue): void {
  if (s.version === null || s.version.count === s.count) return;
  const made = s.tape?.edge ?? null;
  const origin = made === null || made.leaf !== null ? '' : `, which is output ${s.tape!.output} of ${longName(made.name)},`;
  const what = `[torch.${typeName(s.view)} [${s.view.shape.join(', ')}]]${origin}`;
  throw new Error(
    `one of the variables needed for gradient computation has been modified by an inplace operation: ${what} is at version ${s.version.count}; expected version ${s.count} instead. ` +
      'Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).',
  );
}
const typeNames: Record<string, string> = {
  float32: 'FloatTensor',
  float64: 'DoubleTensor',
  float16: 'HalfTensor',
  bfloat16: 'BFloat16Tensor',
  int64: 'LongTensor',
  int32: 'IntTensor',
  int16: 'ShortTensor',
  int8: 'CharTensor',
  uint8: 'ByteTensor',
  bool: 'BoolTensor',
};
const typeName = (v: View): string => typeNames[v.dtype.name] ?? 'Tensor';

export interface BackwardOptions {
  readonly retain_graph?: boolean | undefined;
  readonly create_graph?: boolean | undefined;
  /** Only these leaves (or intermediate tensors) get a gradient. */
  readonly inputs?: readonly Tensor[] | undefined;
}

function seedFor(root: Tensor, gradient: Tensor | null | undefined): Tensor {
  if (gradient !== null && gradient !== undefined) {
    if (gradient.shape.join() !== root.shape.join())
      throw new Error(
        `Mismatch in shape: grad_output[0] has a shape of torch.Size([${gradient.shape.join(', ')}]) and output[0] has a shape of torch.Size([${root.shape.join(', ')}]).`,
      );
    return gradient;
  }
  if (root.view_.numel !== 1) throw new Error('grad can be implicitly created only for scalar outputs');
  if (root.dtype.is_complex) throw new Error(`grad can be implicitly created only for real scalar outputs but got ${root.dtype}`);
  return operators.ones(root);
}

/** What backward needs of the operator layer, which sits above and hands it down. */
export interface BackwardOperators {
  readonly ones: (like: Tensor) => Tensor;
  readonly zeros: (like: Tensor) => Tensor;
  readonly clone: (t: Tensor) => Tensor;
  readonly cast: (t: Tensor, dtype: DType) => Tensor;
  /** Summed over broadcast dims to this shape; throws `otherwise` where it does not broadcast to the gradient's. */
  readonly sumTo: (t: Tensor, shape: readonly number[], otherwise: () => Error) => Tensor;
  readonly anyNan: (t: Tensor) => boolean;
  /** target.grad += grad, in place. */
  readonly addToGrad: (target: Tensor, grad: Tensor) => void;
}
export let operators: BackwardOperators;
export function provideOperators(provided: BackwardOperators): void {
  operators = provided;
}

/** Number of the last backward. */
let walks = 0;
/** Stands for what has been dealt with. */
const done: Arrivals = { edge: Edge.of({ name: '', outputs: [] }), walk: 0, outer: null, grads: [], targets: [], several: null };

/**
 * Edges that gradients of `roots` may reach, newest first: an order in which every edge comes after all that use it. Nothing behind `stops`.
 * What arrives there is noted on the edge itself: a table beside it would cost a look-up for each gradient.
 */
function reachable(roots: readonly Edge[], stops: ReadonlySet<Edge> | null, walk: number): Arrivals[] {
  // Depth first, the last source first, meets calls in very nearly this order; leaves, which are older than all, are kept apart from them.
  const calls: Arrivals[] = [];
  const leaves: Arrivals[] = [];
  const stack: Edge[] = [];
  const visit = (edge: Edge): void => {
    if (edge.arrivals !== null && edge.arrivals.walk === walk) return;
    const n = edge.outputs.length;
    const grads = new Array<Tensor | null>(n);
    const targets = new Array<EdgeTarget | null>(n);
    for (let k = 0; k < n; k++) {
      grads[k] = null;
      targets[k] = null;
    }
    edge.arrivals = { edge, walk, outer: edge.arrivals, grads, targets, several: null };
    if (edge.leaf !== null) leaves.push(edge.arrivals);
    else stack.push(edge);
  };
  for (const root of roots) visit(root);
  while (stack.length > 0) {
    const edge = stack.pop()!;
    calls.push(edge.arrivals!);
    if (stops?.has(edge)) continue;
    const { targets } = edge;
    // Of the leaves the last is the newest (a bias comes after its weight), and is to be met first.
    for (let i = targets.length - 1; i >= 0; i--) if (targets[i] !== null && targets[i]!.edge.leaf !== null) visit(targets[i]!.edge);
    for (let i = 0; i < targets.length; i++) if (targets[i] !== null && targets[i]!.edge.leaf === null) visit(targets[i]!.edge);
  }
  newestFirst(calls);
  newestFirst(leaves);
  const { length } = calls;
  if (length === 0 || leaves.length === 0 || calls[length - 1].edge.sequence > leaves[0].edge.sequence) return calls.concat(leaves);
  const all = calls.concat(leaves);
  newestFirst(all);
  return all;
}

/** Sorts what seldom has to be. */
function newestFirst(list: Arrivals[]): void {
  for (let i = 1; i < list.length; i++)
    if (list[i - 1].edge.sequence < list[i].edge.sequence) {
      list.sort((a, b) => b.edge.sequence - a.edge.sequence);
      return;
    }
}

function arrive(target: EdgeTarget, grad: Tensor): void {
  const { grads, targets, several } = target.edge.arrivals!;
  const k = target.output;
  const first = grads[k];
  if (first === null) {
    grads[k] = grad;
    targets[k] = target;
    return;
  }
  const contribution = { grad, view: target.view, offset: target.offset };
  const all = several?.get(k);
  if (all !== undefined) {
    all.push(contribution);
    return;
  }
  const { view, offset } = targets[k]!;
  const map = several ?? new Map();
  map.set(k, [{ grad: first, view, offset }, contribution]);
  target.edge.arrivals!.several = map;
}

/**
 * Runs backward from `roots`. Gradients of leaves accumulate into `.grad`, unless `capture` is given: then the gradients at these targets are
 * returned and nothing accumulates.
 */
export function runBackward(
  roots: readonly Tensor[],
  gradients: readonly (Tensor | null | undefined)[],
  options: BackwardOptions,
  capture: readonly EdgeTarget[] | null,
  stopAtCapture = false,
): (Tensor | null)[] {
  if (modes.inference && roots.some((r) => r.inference)) throw new Error('Inference tensors do not track version counter.');
  const create = options.create_graph ?? false;
  const retain = options.retain_graph ?? create;
  const starts = roots.map((root, i): EdgeTarget => {
    const { edge, output, base } = root.tape;
    if (edge === null) throw new Error(`element ${i} of tensors does not require grad and does not have a grad_fn`);
    return { edge, output, base: base!, view: root.view_, offset: root.offset };
  });
  const seeds = roots.map((root, i) => seedFor(root, gradients[i]));
  if (roots.length === 1 && !create && capture === null && options.inputs === undefined && replayed(starts[0], seeds[0], retain)) {
    engineOf(roots[0].device).anchor();
    return [];
  }
  const stops = stopAtCapture && capture !== null ? new Set(capture.map((t) => t.edge)) : null;
  const allowed = options.inputs === undefined ? null : new Set(options.inputs.map((t) => t.tape.edge));
  const captured: (Tensor | null)[] = capture === null ? [] : capture.map(() => null);
  const order = reachable(
    starts.map((t) => t.edge),
    stops,
    ++walks,
  );
  const before = modes.grad;
  const walk = (): void => {
    for (let at = 0; at < order.length; at++) {
      const arrivals = order[at];
      const { edge, grads } = arrivals;
      // Nothing arrives here any more, and what has need not be held to the end.
      edge.arrivals = arrivals.outer;
      order[at] = done;
      if (!gather(arrivals)) continue;
      if (edge.retained !== null)
        for (const r of edge.retained) if (grads[r.output] !== null) accumulateInto(r.tensor, grads[r.output]!, create);
      if (capture !== null)
        capture.forEach((t, i) => {
          if (t.edge === edge && grads[t.output] !== null) captured[i] = readThrough(grads[t.output]!, t);
        });
      if (edge.leaf !== null) {
        if (capture === null && grads[0] !== null && (allowed === null || allowed.has(edge))) accumulateInto(edge.leaf, grads[0], create);
        continue;
      }
      if (stops?.has(edge)) continue;
      const results = anomaly.enabled ? anomalous(edge, () => through(edge, grads, create)) : through(edge, grads, create);
      const { targets } = edge;
      for (let i = 0; i < targets.length; i++) {
        const t = targets[i];
        const g = results[i];
        if (t !== null && g) arrive(t, g);
      }
      if (!retain) edge.release();
    }
  };
  try {
    for (const { edge } of order) if (edge.saved === null && edge.leaf === null && !stops?.has(edge)) throw freed();
    for (const { edge } of order) if (edge.saved !== null && !stops?.has(edge)) for (const s of edge.saved) checkVersion(s);
    starts.forEach((start, i) => {
      arrive(start, seeds[i]);
    });
    modes.grad = create;
    holding(walk);
  } finally {
    modes.grad = before;
    for (const a of order) if (a !== done) a.edge.arrivals = a.outer;
  }
  // What is returned must outlive a flush at this anchor; inside another backward it is held by that one.
  if (!stopAtCapture) for (const g of captured) if (g !== null) exposeGradient(g);
  for (const device of new Set(roots.map((r) => r.device))) engineOf(device).anchor();
  return captured;
}

/** Records a plain backward as one call (`replay.ts`); false where it is not plain or has to be computed call by call. */
function replayed(start: EdgeTarget, seed: Tensor, retain: boolean): boolean {
  if (flags.flush !== 'lazy' || anomaly.enabled || modes.inference) return false;
  const { value } = seed.storage;
  const seeded = { value, view: seed.view_, offset: seed.offset };
  const found = findPlan(start, seeded) ?? planned(start, seed);
  if (found === null) return false;
  const { edges } = found;
  for (let i = 0; i < edges.length; i++) {
    const saved = edges[i].saved!;
    for (let k = 0; k < saved.length; k++) checkVersion(saved[k]);
  }
  const before = modes.grad;
  modes.grad = false;
  try {
    holding(() => replay(found, seeded, (leaf, grad, view) => accumulateInto(leaf.leaf!, bare(grad, view, 0, noTape()), false)));
  } finally {
    modes.grad = before;
  }
  if (!retain) for (let i = 0; i < edges.length; i++) edges[i].release();
  return true;
}

/** Walks a plain backward without computing anything, and makes a plan of it; null where it is not plain. */
function planned(start: EdgeTarget, seed: Tensor): Match | null {
  if (start.edge.leaf !== null || !isPlain(start.edge)) return null;
  const order = reachable([start.edge], null, ++walks);
  const edges = order.map((a) => a.edge);
  const before = modes.grad;
  try {
    const { device } = start.base;
    if (!edges.every((e) => isPlain(e) && e.outputs.every((v) => v.device === device))) return null;
    modes.grad = false;
    const walk = noteWalk(order, start, seed);
    return walk === null ? null : { plan: keepPlan(walk), edges };
  } finally {
    modes.grad = before;
    for (const a of order) a.edge.arrivals = a.outer;
  }
}

function noteWalk(order: readonly Arrivals[], start: EdgeTarget, seed: Tensor): NotedWalk | null {
  const made = new Map<Value, NotedResult>();
  const calls: NotedCall[] = [];
  const leaves: { edge: number; grad: NotedResult }[] = [];
  let plain = true;
  /** Where a gradient came from: a call before, or it is the first. */
  const origin = (value: Value, view: View, offset: number): NotedCall['srcs'][number] => {
    const from = made.get(value);
    if (from !== undefined && offset === 0) return from;
    if (value !== seed.storage.value || view !== seed.view_ || offset !== seed.offset) plain = false;
    return { edge: -1, slot: 0, view };
  };
  /** Notes the calls of `work`; `srcOf` says where an input comes from that is no gradient. */
  const note = <T>(work: () => T, params: number, srcOf: (i: number) => NotedCall['srcs'][number] | null): T => {
    let result: T;
    for (const node of collectCalls(() => {
      result = work();
    })) {
      const { signature, srcs, offsets } = node;
      node.outs.forEach((v, index) => {
        made.set(v, { call: calls.length, index });
      });
      const sources = srcs!.map((v, i) => srcOf(i) ?? origin(v, signature.inputs[i], offsets[i]));
      calls.push({ signature, params: node.params.length > 0 ? params : -1, srcs: sources });
    }
    return result!;
  };
  arrive(start, seed);
  order.forEach((arrivals, at) => {
    const { edge, grads } = arrivals;
    if (
      !note(
        () => gather(arrivals),
        -1,
        () => null,
      )
    )
      return;
    if (edge.leaf !== null) {
      const grad = grads[0]!;
      const from = made.get(grad.storage.value);
      if (from === undefined || grad.offset !== 0 || grad.view_ !== calls[from.call].signature.outs[from.index]) plain = false;
      else leaves.push({ edge: at, grad: from });
      return;
    }
    const { plan, at: slots } = gradientCall(edge.signature!, seededBy(grads));
    const results = note(
      () => gradientsThrough(edge, grads, false),
      at,
      (i) => (plan.saved[i].from === 'grad' ? null : { edge: at, slot: slots[i], view: edge.saved![slots[i]].view }),
    );
    edge.targets.forEach((t, i) => {
      if (t !== null && results[i]) arrive(t, results[i]);
    });
  });
  return plain && leaves.length > 0 ? { edges: order.map((a) => a.edge), calls, leaves, root: start } : null;
}

/** Adds up what has arrived at an edge, output by output; false if nothing has. */
function gather(arrivals: Arrivals): boolean {
  const { edge, grads, targets, several } = arrivals;
  let any = false;
  for (let k = 0; k < grads.length; k++) {
    const first = grads[k];
    if (first === null) continue;
    any = true;
    const base = edge.outputs[k];
    const all = several?.get(k);
    const { view, offset } = targets[k]!;
    if (all !== undefined) grads[k] = combine(base, all);
    else if (view !== base || offset !== 0) grads[k] = combine(base, [{ grad: first, view, offset }]);
    if (edge.hooks !== null)
      for (const hook of edge.hooks.get(k) ?? []) {
        exposeGradient(grads[k]!);
        grads[k] = hook(grads[k]!) ?? grads[k];
      }
  }
  return any;
}

function through(edge: Edge, grads: readonly (Tensor | null)[], create: boolean): readonly (Tensor | null)[] {
  if (sink !== null) sink.backward(edge);
  return edge.custom !== null ? edge.custom(grads) : gradientsThrough(edge, grads, create);
}

/** In anomaly mode, errors and NaNs of a gradient name the call that made the edge. */
function anomalous(edge: Edge, work: () => readonly (Tensor | null)[]): readonly (Tensor | null)[] {
  const origin = (): string =>
    edge.origin === null
      ? 'No forward pass information available. Enable detect anomaly during forward pass for more information.'
      : `Traceback of forward call that caused the error:\n${edge.origin}`;
  let results: readonly (Tensor | null)[];
  try {
    results = work();
  } catch (error) {
    throw new Error(`${(error as Error).message}\nError detected in ${edge.name}. ${origin()}`, { cause: error });
  }
  if (anomaly.checkNan)
    results.forEach((g, i) => {
      if (g !== null && operators.anyNan(g))
        throw new Error(`Function '${edge.name}' returned nan values in its ${i}th output.\nError detected in ${edge.name}. ${origin()}`);
    });
  return results;
}

const freed = (): Error =>
  new Error(
    'Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). ' +
      'Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward.',
  );

/** Sum of the contributions to one output. */
function combine(base: View, list: readonly Contribution[]): Tensor {
  const call = accumulateCall(base, list);
  return record(
    accumulate as never,
    list.map((c) => c.grad),
    { ...call, hidden: true },
  )[0];
}

/** The part of an output's gradient that a captured tensor (a view of the output) is asked about. */
function readThrough(grad: Tensor, target: EdgeTarget): Tensor {
  if (target.view === target.base && target.offset === 0) return grad;
  return new Tensor(grad.storage, target.view, target.offset, grad.tape, grad.version);
}

function gradientsThrough(edge: Edge, grads: readonly (Tensor | null)[], create: boolean): readonly (Tensor | null)[] {
  const signature = edge.signature!;
  const { plan, at, dims } = gradientCall(signature, seededBy(grads));
  const saves = plan.saved;
  const inputs = new Array<Tensor>(saves.length);
  for (let i = 0; i < saves.length; i++) {
    const s = saves[i];
    if (s.from === 'grad') {
      inputs[i] = grads[s.index]!;
      continue;
    }
    const saved = edge.saved![at[i]];
    if (saved === undefined) throw new Error(`internal: ${edge.name} did not save ${s.from} ${s.index}`);
    inputs[i] = bare(saved.value, saved.view, saved.offset, create ? tapeOf(edge, s) : untracked);
  }
  const outs = record(plan.operator as never, inputs, { dims, params: edge.params, hidden: true, device: signature.device });
  const results = new Array<Tensor | null>(signature.inputs.length).fill(null);
  for (let k = 0; k < plan.wrt.length; k++) results[plan.wrt[k]] = outs[k];
  return results;
}

/** Saved inputs and outputs are differentiable themselves when a graph of the gradient is made. */
function tapeOf(edge: Edge, s: { from: string; index: number }): Tape {
  if (s.from === 'output') return new Tape(edge, s.index, edge.outputs[s.index]);
  if (s.from === 'input') {
    const t = edge.targets[s.index];
    if (t !== null) return new Tape(t.edge, t.output, t.base);
  }
  if (s.from === 'hidden') {
    const at = edge.signature!.visible + s.index;
    if (differentiable(edge.outputs[at])) return new Tape(edge, at, edge.outputs[at]);
  }
  return noTape();
}

/** A gradient that a user sees is a value like any other. */
function exposeGradient(g: Tensor): void {
  g.storage.value.visible = true;
}

function accumulateInto(target: Tensor, grad: Tensor, create: boolean): void {
  if (sink !== null) sink.gradient(target, 'read');
  const present = target.grad_;
  if (present !== null) {
    operators.addToGrad(target, grad);
    return;
  }
  // A gradient that somebody holds already (the user's own, a hook's) must not share its memory with `.grad`.
  const own = grad.storage.value.visible && !create ? operators.clone(grad) : grad;
  exposeGradient(own);
  target.grad_ = create ? own : new Tensor(own.storage, own.view_, own.offset, noTape(), own.version);
}

/** `torch.autograd.backward` */
export function backward(
  tensors: Tensor | readonly Tensor[],
  grad_tensors: Tensor | null | readonly (Tensor | null)[] = null,
  options: BackwardOptions = {},
): void {
  const roots = tensors instanceof Tensor ? [tensors] : tensors;
  const grads = grad_tensors === null || grad_tensors instanceof Tensor ? [grad_tensors] : grad_tensors;
  runBackward(roots, grads, options, null);
}

export interface GradOptions {
  readonly retain_graph?: boolean;
  readonly create_graph?: boolean;
  readonly allow_unused?: boolean;
  readonly materialize_grads?: boolean;
}

/** `torch.autograd.grad`: gradients of outputs with respect to inputs, returned. */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  grad_outputs: Tensor | null | readonly (Tensor | null)[] = null,
  options: GradOptions = {},
): (Tensor | null)[] {
  const roots = outputs instanceof Tensor ? [outputs] : outputs;
  const wrt = inputs instanceof Tensor ? [inputs] : inputs;
  const grads = grad_outputs === null || grad_outputs instanceof Tensor ? [grad_outputs] : grad_outputs;
  const targets = wrt.map((t): EdgeTarget => {
    const { edge, output, base } = t.tape;
    if (edge === null) throw new Error('One of the differentiated Tensors does not require grad');
    return { edge, output, base: base!, view: t.view_, offset: t.offset };
  });
  const found = runBackward(roots, grads, options, targets);
  found.forEach((g, i) => {
    if (g !== null) return;
    if (options.materialize_grads) found[i] = operators.zeros(wrt[i]);
    else if (!options.allow_unused)
      throw new Error(
        'One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior.',
      );
  });
  return found;
}
