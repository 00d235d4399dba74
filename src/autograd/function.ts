/**
 * Operators with a gradient written by the user: `class Square extends Function { static forward(ctx, x) ...; static backward(ctx, g) ... }`,
 * called as `Square.apply(x)`. https://docs.pytorch.org/docs/stable/autograd.html#function
 *
 * `forward` runs without recording; its tensor results get one edge whose gradient is `backward`. A class with `setup_context(ctx, inputs, output)`
 * has a `forward` without `ctx`, as in PyTorch.
 */
import { contiguousView, Tensor } from '../tensor/tensor.ts';
import { bare, operators } from './backward.ts';
import { modes, no_grad } from './modes.ts';
import { Edge, type EdgeTarget, type SavedValue, Tape } from './tape.ts';

/** What `forward` leaves for `backward`; any other field may be set on it too. */
export class FunctionContext {
  [key: string]: unknown;
  readonly needs_input_grad: readonly boolean[];
  /** Tensors to be saved, until the edge is made. */
  #toSave: readonly (Tensor | null)[] = [];
  #edge: Edge | null = null;
  #kept: readonly ({ readonly saved: SavedValue; readonly tape: Tape } | null)[] = [];
  readonly #dirty = new Set<Tensor>();
  readonly #constants = new Set<Tensor>();
  #materialize = true;

  constructor(needs_input_grad: readonly boolean[]) {
    this.needs_input_grad = needs_input_grad;
  }

  /** Saves inputs and outputs (null allowed) for `saved_tensors`; a later in-place change of one is an error in backward. */
  save_for_backward(...tensors: readonly (Tensor | null)[]): void {
    this.#toSave = tensors;
  }
  get saved_tensors(): readonly (Tensor | null)[] {
    if (this.#edge !== null && this.#edge.saved === null)
      throw new Error(
        'Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). ' +
          'Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward.',
      );
    return this.#kept.map((k) => (k === null ? null : bare(k.saved.value, k.saved.view, k.saved.offset, k.tape)));
  }
  mark_dirty(...tensors: readonly Tensor[]): void {
    for (const t of tensors) this.#dirty.add(t);
  }
  mark_non_differentiable(...tensors: readonly Tensor[]): void {
    for (const t of tensors) this.#constants.add(t);
  }
  /** Whether missing gradients of outputs arrive as zeros (default) or as null. */
  set_materialize_grads(value: boolean): void {
    this.#materialize = value;
  }

  /** For `applyFunction`: the context's own state is nobody else's business. */
  static finish(ctx: FunctionContext): { dirty: ReadonlySet<Tensor>; constants: ReadonlySet<Tensor>; materialize: boolean } {
    return { dirty: ctx.#dirty, constants: ctx.#constants, materialize: ctx.#materialize };
  }
  static attach(ctx: FunctionContext, edge: Edge, tapes: ReadonlyMap<Tensor, Tape>): void {
    ctx.#edge = edge;
    ctx.#kept = ctx.#toSave.map((t) => {
      if (t === null) return null;
      const saved: SavedValue = {
        value: t.storage.value,
        view: t.view_,
        offset: t.offset,
        version: t.version,
        count: t.version.count,
        tape: t.tape,
      };
      saved.value.savedBy++;
      edge.saved!.push(saved);
      return { saved, tape: tapes.get(t) ?? t.tape };
    });
  }
}

type Gradients = Tensor | null | undefined | readonly (Tensor | null | undefined)[];
export interface FunctionClass {
  readonly name: string;
  forward(...args: never[]): unknown;
  backward(ctx: FunctionContext, ...grads: (Tensor | null)[]): Gradients;
  setup_context?(ctx: FunctionContext, inputs: readonly unknown[], output: unknown): void;
}

/** https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function */
// biome-ignore lint/suspicious/noShadowRestrictedNames: PyTorch's name.
export class Function {
  static forward(..._args: never[]): unknown {
    throw new Error('You must implement the forward function for custom autograd.Function.');
  }
  static backward(_ctx: FunctionContext, ..._grads: (Tensor | null)[]): Gradients {
    throw new Error(
      'You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD.',
    );
  }
  /** Calls `forward` and records the call. Returns what `forward` returns. */
  static apply<R = Tensor>(...args: readonly unknown[]): R {
    // biome-ignore lint/complexity/noThisInStatic: as above.
    return applyFunction(this as unknown as FunctionClass, args) as R;
  }
}

function applyFunction(cls: FunctionClass, args: readonly unknown[]): unknown {
  const needs = args.map((a) => a instanceof Tensor && a.requires_grad);
  const ctx = new FunctionContext(needs);
  const output = no_grad(() => {
    if (cls.setup_context === undefined) return (cls.forward as (...a: unknown[]) => unknown)(ctx, ...args);
    const result = (cls.forward as (...a: unknown[]) => unknown)(...args);
    cls.setup_context(ctx, args, result);
    return result;
  });
  const several = Array.isArray(output);
  const results: unknown[] = several ? output : [output];
  const tensors = results.filter((r): r is Tensor => r instanceof Tensor);
  if (!modes.grad || modes.inference || !needs.includes(true)) return output;
  const { dirty, constants, materialize } = FunctionContext.finish(ctx);
  const name = `${cls.name}Backward`;
  const edge = Edge.of({
    name,
    targets: args.map((a): EdgeTarget | null => {
      if (!(a instanceof Tensor) || a.tape.edge === null) return null;
      return { edge: a.tape.edge, output: a.tape.output, base: a.tape.base!, view: a.view_, offset: a.offset };
    }),
    // Each output is a tensor of its own, laid out as `forward` made it.
    outputs: tensors.map((t) => (t.offset === 0 ? t.view_ : contiguousView(t.dtype, t.device, t.view_.shape))),
    custom: (grads) => {
      const given = grads.map((g, k) => g ?? (materialize ? operators.zeros(tensors[k]) : null));
      const answer = cls.backward(ctx, ...given);
      const list = (Array.isArray(answer) ? answer : [answer]) as readonly (Tensor | null | undefined)[];
      return checkGradients(name, args, list);
    },
  });
  /** Tapes of the outputs, by the handle that forward made. */
  const tapes = new Map<Tensor, Tape>();
  let index = 0;
  const wrapped = results.map((r) => {
    if (!(r instanceof Tensor)) return r;
    const at = index++;
    const differentiable = (r.dtype.is_floating_point || r.dtype.is_complex) && !constants.has(r);
    if (!differentiable) return r;
    const tape = new Tape(edge, at, r.view_);
    tapes.set(r, tape);
    if (dirty.has(r)) {
      r.tape.edge = edge;
      r.tape.output = at;
      r.tape.base = r.view_;
      return r;
    }
    // An input handed back is a new tensor in PyTorch too; so is everything else, since forward's own handle stays off the tape.
    return new Tensor(r.storage, r.view_, r.offset, tape, r.version) as Tensor;
  });
  FunctionContext.attach(ctx, edge, tapes);
  return several ? wrapped : wrapped[0];
}

function checkGradients(name: string, args: readonly unknown[], list: readonly (Tensor | null | undefined)[]): (Tensor | null)[] {
  let given = [...list];
  // Trailing nulls for arguments that need none may be left out or be too many.
  if (given.length > args.length && given.slice(args.length).every((g) => g === null || g === undefined))
    given = given.slice(0, args.length);
  if (given.length !== args.length)
    throw new Error(`function ${name} returned an incorrect number of gradients (expected ${args.length}, got ${given.length})`);
  return given.map((g, i) => {
    const input = args[i];
    if (g === null || g === undefined) return null;
    if (!(input instanceof Tensor))
      throw new Error(
        `function ${name} returned a gradient different from None at position ${i + 1}, but the corresponding forward input was not a Variable`,
      );
    if (!(g instanceof Tensor)) throw new TypeError(`function ${name} returned an invalid gradient at index ${i} - expected a Tensor`);
    // A gradient has its input's dtype: under autocast `backward` may compute in another.
    const cast = g.dtype !== input.dtype && g.dtype.is_floating_point && input.dtype.is_floating_point ? operators.cast(g, input.dtype) : g;
    if (g.view_.shape.join() === input.view_.shape.join()) return cast;
    return operators.sumTo(
      cast,
      input.view_.shape,
      () =>
        new Error(
          `Function ${name} returned an invalid gradient at index ${i} - got [${g.view_.shape.join(', ')}] but expected shape compatible with [${input.view_.shape.join(', ')}]`,
        ),
    );
  });
}
