/**
 * Transforms: invertible maps of samples with the log of their Jacobian's determinant. https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms
 *
 * A transform is a function object: calling it maps values, `inv` is the map back (another transform). A class writes `_call`, `_inverse` and
 * `log_abs_det_jacobian`. Here are the base and those made of other transforms; the maps themselves are in `transforms.ts`.
 */
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { type Constraint, cat, independent, real, stack } from './constraints.ts';
import { sameShape } from './distribution.ts';
import { NotImplementedError, type Size, sizeText, sumRightmost } from './utils.ts';

export interface Transform {
  (x: Tensor): Tensor;
}
/** A function without fields that maps by `forward`. */
function functionObject(prototype: object): Transform {
  const self = ((x: Tensor) => self.forward(x)) as unknown as Transform;
  const fields = self as unknown as Record<string, unknown>;
  delete fields['name'];
  delete fields['length'];
  return Object.setPrototypeOf(self, prototype) as Transform;
}

/** https://docs.pytorch.org/docs/stable/distributions.html#torch.distributions.transforms.Transform */
export abstract class Transform {
  declare cache_size: number;
  /** The last values and what became of them, where `cache_size` is 1. */
  declare protected cached: readonly [Tensor, Tensor] | null;
  declare protected inverted: Transform | null;

  constructor(cache_size = 0) {
    if (cache_size !== 0 && cache_size !== 1) throw new Error('cache_size must be 0 or 1');
    const self = functionObject(new.target.prototype);
    self.cache_size = cache_size;
    self.cached = null;
    self.inverted = null;
    // biome-ignore lint/correctness/noConstructorReturn: a transform is this function.
    return self;
  }

  get bijective(): boolean {
    return false;
  }
  abstract get domain(): Constraint;
  abstract get codomain(): Constraint;
  get event_dim(): number {
    if (this.domain.event_dim === this.codomain.event_dim) return this.domain.event_dim;
    throw new Error('Please use either .domain.event_dim or .codomain.event_dim');
  }
  get inv(): Transform {
    this.inverted ??= new InverseTransform(this);
    return this.inverted;
  }
  /** The sign of the derivative of a monotone map. */
  get sign(): number | Tensor {
    throw new NotImplementedError();
  }
  with_cache(_cache_size = 1): Transform {
    throw new NotImplementedError(`${this.constructor.name}.with_cache is not implemented`);
  }
  equals(other: Transform): boolean {
    return this === other;
  }

  forward(x: Tensor): Tensor {
    if (this.cached !== null && this.cached[0] === x) return this.cached[1];
    const y = this._call(x);
    if (this.cache_size === 1) this.cached = [x, y];
    return y;
  }
  backward(y: Tensor): Tensor {
    if (this.cached !== null && this.cached[1] === y) return this.cached[0];
    const x = this._inverse(y);
    if (this.cache_size === 1) this.cached = [x, y];
    return x;
  }
  protected _call(_x: Tensor): Tensor {
    throw new NotImplementedError();
  }
  protected _inverse(_y: Tensor): Tensor {
    throw new NotImplementedError();
  }
  log_abs_det_jacobian(_x: Tensor, _y: Tensor): Tensor {
    throw new NotImplementedError();
  }
  forward_shape(shape: Size): Size {
    return shape;
  }
  inverse_shape(shape: Size): Size {
    return shape;
  }
  toString(): string {
    return `${this.constructor.name}()`;
  }
}

class InverseTransform extends Transform {
  declare private readonly of: Transform;
  constructor(of: Transform) {
    super(of.cache_size);
    (this as unknown as { of: Transform }).of = of;
  }
  override get bijective(): boolean {
    return this.of.bijective;
  }
  override get domain(): Constraint {
    return this.of.codomain;
  }
  override get codomain(): Constraint {
    return this.of.domain;
  }
  override get sign(): number | Tensor {
    return this.of.sign;
  }
  override get inv(): Transform {
    return this.of;
  }
  override with_cache(cache_size = 1): Transform {
    return this.of.with_cache(cache_size).inv;
  }
  override equals(other: Transform): boolean {
    return other instanceof InverseTransform && this.of.equals(other.of);
  }
  override forward(x: Tensor): Tensor {
    return this.of.backward(x);
  }
  override backward(y: Tensor): Tensor {
    return this.of.forward(y);
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return this.of.log_abs_det_jacobian(y, x).neg();
  }
  override forward_shape(shape: Size): Size {
    return this.of.inverse_shape(shape);
  }
  override inverse_shape(shape: Size): Size {
    return this.of.forward_shape(shape);
  }
  override toString(): string {
    return `_InverseTransform(${this.of})`;
  }
}

const cached = (parts: readonly Transform[], cache_size: number): readonly Transform[] =>
  cache_size === 0 ? [...parts] : parts.map((p) => p.with_cache(cache_size));

/** One transform after another. */
export class ComposeTransform extends Transform {
  readonly parts: readonly Transform[];
  constructor(parts: readonly Transform[], { cache_size = 0 }: { readonly cache_size?: number } = {}) {
    super(cache_size);
    this.parts = cached(parts, cache_size);
  }
  override equals(other: Transform): boolean {
    return other instanceof ComposeTransform && sameTransforms(this.parts, other.parts);
  }
  override get domain(): Constraint {
    if (this.parts.length === 0) return real;
    const [{ domain }] = this.parts;
    let dims = this.parts[this.parts.length - 1].codomain.event_dim;
    for (const part of [...this.parts].reverse())
      dims = Math.max(dims + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim);
    return dims > domain.event_dim ? independent(domain, dims - domain.event_dim) : domain;
  }
  override get codomain(): Constraint {
    if (this.parts.length === 0) return real;
    const { codomain } = this.parts[this.parts.length - 1];
    let dims = this.parts[0].domain.event_dim;
    for (const part of this.parts) dims = Math.max(dims + part.codomain.event_dim - part.domain.event_dim, part.codomain.event_dim);
    return dims > codomain.event_dim ? independent(codomain, dims - codomain.event_dim) : codomain;
  }
  override get bijective(): boolean {
    return this.parts.every((p) => p.bijective);
  }
  override get sign(): number | Tensor {
    return productOfSigns(this.parts);
  }
  override get inv(): Transform {
    if (this.inverted === null) {
      const inverse = new ComposeTransform(this.parts.map((p) => p.inv).reverse());
      inverse.inverted = this;
      this.inverted = inverse;
    }
    return this.inverted;
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new ComposeTransform(this.parts, { cache_size });
  }
  override forward(x: Tensor): Tensor {
    return this.parts.reduce((value, part) => part(value), x);
  }
  override backward(y: Tensor): Tensor {
    return this.inv.forward(y);
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    if (this.parts.length === 0) return torch.zeros_like(x);
    const values = [x];
    for (const part of this.parts.slice(0, -1)) values.push(part(values[values.length - 1]));
    values.push(y);
    let dims = this.domain.event_dim;
    const terms = this.parts.map((part, i) => {
      const term = sumRightmost(part.log_abs_det_jacobian(values[i], values[i + 1]), dims - part.domain.event_dim);
      dims += part.codomain.event_dim - part.domain.event_dim;
      return term;
    });
    return terms.reduce((a, b) => a.add(b));
  }
  override forward_shape(shape: Size): Size {
    return this.parts.reduce((s, part) => part.forward_shape(s), shape);
  }
  override inverse_shape(shape: Size): Size {
    return this.parts.reduceRight((s, part) => part.inverse_shape(s), shape);
  }
  override toString(): string {
    return `ComposeTransform(\n    ${this.parts.join(',\n    ')}\n)`;
  }
}
export const identity_transform: ComposeTransform = new ComposeTransform([]);

export const sameTransforms = (a: readonly Transform[], b: readonly Transform[]): boolean =>
  a.length === b.length && a.every((t, i) => t.equals(b[i]));

export function productOfSigns(parts: readonly Transform[]): number | Tensor {
  let product: number | Tensor = 1;
  for (const { sign } of parts) {
    if (typeof product !== 'number') product = product.mul(sign as number);
    else product = typeof sign === 'number' ? product * sign : sign.mul(product);
  }
  return product;
}

/** A transform whose last batch dims belong to the event. */
export class IndependentTransform extends Transform {
  readonly base_transform: Transform;
  readonly reinterpreted_batch_ndims: number;
  constructor(base: Transform, dims: number, { cache_size = 0 }: { readonly cache_size?: number } = {}) {
    super(cache_size);
    this.base_transform = cache_size === 0 ? base : base.with_cache(cache_size);
    this.reinterpreted_batch_ndims = dims;
  }
  override with_cache(cache_size = 1): Transform {
    if (this.cache_size === cache_size) return this;
    return new IndependentTransform(this.base_transform, this.reinterpreted_batch_ndims, { cache_size });
  }
  override get domain(): Constraint {
    return independent(this.base_transform.domain, this.reinterpreted_batch_ndims);
  }
  override get codomain(): Constraint {
    return independent(this.base_transform.codomain, this.reinterpreted_batch_ndims);
  }
  override get bijective(): boolean {
    return this.base_transform.bijective;
  }
  override get sign(): number | Tensor {
    return this.base_transform.sign;
  }
  protected override _call(x: Tensor): Tensor {
    if (x.ndim < this.domain.event_dim) throw new Error('Too few dimensions on input');
    return this.base_transform(x);
  }
  protected override _inverse(y: Tensor): Tensor {
    if (y.ndim < this.codomain.event_dim) throw new Error('Too few dimensions on input');
    return this.base_transform.inv(y);
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return sumRightmost(this.base_transform.log_abs_det_jacobian(x, y), this.reinterpreted_batch_ndims);
  }
  override forward_shape(shape: Size): Size {
    return this.base_transform.forward_shape(shape);
  }
  override inverse_shape(shape: Size): Size {
    return this.base_transform.inverse_shape(shape);
  }
  override toString(): string {
    return `IndependentTransform(${this.base_transform}, ${this.reinterpreted_batch_ndims})`;
  }
}

const numel = (shape: Size): number => shape.reduce((a, b) => a * b, 1);

/** Event dims of another shape. */
export class ReshapeTransform extends Transform {
  readonly in_shape: Size;
  readonly out_shape: Size;
  constructor(in_shape: Size, out_shape: Size, { cache_size = 0 }: { readonly cache_size?: number } = {}) {
    super(cache_size);
    if (numel(in_shape) !== numel(out_shape)) throw new Error('in_shape, out_shape have different numbers of elements');
    this.in_shape = [...in_shape];
    this.out_shape = [...out_shape];
  }
  override get bijective(): boolean {
    return true;
  }
  override get domain(): Constraint {
    return independent(real, this.in_shape.length);
  }
  override get codomain(): Constraint {
    return independent(real, this.out_shape.length);
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new ReshapeTransform(this.in_shape, this.out_shape, { cache_size });
  }
  protected override _call(x: Tensor): Tensor {
    return x.reshape([...x.shape.slice(0, x.ndim - this.in_shape.length), ...this.out_shape]);
  }
  protected override _inverse(y: Tensor): Tensor {
    return y.reshape([...y.shape.slice(0, y.ndim - this.out_shape.length), ...this.in_shape]);
  }
  override log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return torch.zeros(x.shape.slice(0, x.ndim - this.in_shape.length), { dtype: x.dtype, device: x.device });
  }
  override forward_shape(shape: Size): Size {
    return replaced(shape, this.in_shape, this.out_shape);
  }
  override inverse_shape(shape: Size): Size {
    return replaced(shape, this.out_shape, this.in_shape);
  }
}
function replaced(shape: Size, tail: Size, by: Size): Size {
  if (shape.length < tail.length) throw new Error('Too few dimensions on input');
  const cut = shape.length - tail.length;
  if (!sameShape(shape.slice(cut), tail))
    throw new Error(`Shape mismatch: expected ${sizeText(shape.slice(cut))} but got ${sizeText(tail)}`);
  return [...shape.slice(0, cut), ...by];
}

/** Transforms for parts along a dim, of these lengths. */
export class CatTransform extends Transform {
  readonly transforms: readonly Transform[];
  readonly dim: number;
  readonly lengths: readonly number[];
  constructor(
    tseq: readonly Transform[],
    dim = 0,
    lengths: readonly number[] | null = null,
    { cache_size = 0 }: { readonly cache_size?: number } = {},
  ) {
    super(cache_size);
    this.transforms = cached(tseq, cache_size);
    this.dim = dim;
    this.lengths = lengths ?? tseq.map(() => 1);
    if (this.lengths.length !== tseq.length) throw new Error(`lengths (${this.lengths.length}) must match transforms (${tseq.length})`);
  }
  override get event_dim(): number {
    return Math.max(...this.transforms.map((t) => t.event_dim));
  }
  get total_length(): number {
    return this.lengths.reduce((a, b) => a + b, 0);
  }
  override get bijective(): boolean {
    return this.transforms.every((t) => t.bijective);
  }
  override get domain(): Constraint {
    return cat(
      this.transforms.map((t) => t.domain),
      this.dim,
      this.lengths,
    );
  }
  override get codomain(): Constraint {
    return cat(
      this.transforms.map((t) => t.codomain),
      this.dim,
      this.lengths,
    );
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new CatTransform(this.transforms, this.dim, this.lengths, { cache_size });
  }
  #parts(x: Tensor, name: string): Tensor[] {
    const { dim, total_length } = this;
    if (dim < -x.ndim || dim >= x.ndim) throw new Error(`dim ${dim} out of range for ${name} with ${x.ndim} dimensions`);
    if (x.size(dim) !== total_length) throw new Error(`x.size(${dim}) = ${x.size(dim)} must equal length ${total_length}`);
    let start = 0;
    return this.lengths.map((length) => {
      const part = x.narrow(dim, start, length);
      start += length;
      return part;
    });
  }
  protected override _call(x: Tensor): Tensor {
    const parts = this.#parts(x, 'tensor');
    return torch.cat(
      this.transforms.map((t, i) => t(parts[i])),
      this.dim,
    );
  }
  protected override _inverse(y: Tensor): Tensor {
    const parts = this.#parts(y, 'tensor');
    return torch.cat(
      this.transforms.map((t, i) => t.inv(parts[i])),
      this.dim,
    );
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const xs = this.#parts(x, 'x');
    const ys = this.#parts(y, 'y');
    const terms = this.transforms.map((t, i) => sumRightmost(t.log_abs_det_jacobian(xs[i], ys[i]), this.event_dim - t.event_dim));
    const dim = (this.dim >= 0 ? this.dim - x.ndim : this.dim) + this.event_dim;
    return dim < 0 ? torch.cat(terms, dim) : terms.reduce((a, b) => a.add(b));
  }
}

/** Transforms for the slices along a dim. */
export class StackTransform extends Transform {
  readonly transforms: readonly Transform[];
  readonly dim: number;
  constructor(tseq: readonly Transform[], dim = 0, { cache_size = 0 }: { readonly cache_size?: number } = {}) {
    super(cache_size);
    this.transforms = cached(tseq, cache_size);
    this.dim = dim;
  }
  override get bijective(): boolean {
    return this.transforms.every((t) => t.bijective);
  }
  override get domain(): Constraint {
    return stack(
      this.transforms.map((t) => t.domain),
      this.dim,
    );
  }
  override get codomain(): Constraint {
    return stack(
      this.transforms.map((t) => t.codomain),
      this.dim,
    );
  }
  override with_cache(cache_size = 1): Transform {
    return this.cache_size === cache_size ? this : new StackTransform(this.transforms, this.dim, { cache_size });
  }
  #slices(x: Tensor, name: string): Tensor[] {
    const { dim } = this;
    if (dim < -x.ndim || dim >= x.ndim) throw new Error(`dim ${dim} out of range for ${name} with ${x.ndim} dimensions`);
    if (x.size(dim) !== this.transforms.length)
      throw new Error(`x.size(${dim}) = ${x.size(dim)} must equal len(transforms) ${this.transforms.length}`);
    return this.transforms.map((_, i) => x.select(dim, i));
  }
  protected override _call(x: Tensor): Tensor {
    const slices = this.#slices(x, 'tensor');
    return torch.stack(
      this.transforms.map((t, i) => t(slices[i])),
      this.dim,
    );
  }
  protected override _inverse(y: Tensor): Tensor {
    const slices = this.#slices(y, 'tensor');
    return torch.stack(
      this.transforms.map((t, i) => t.inv(slices[i])),
      this.dim,
    );
  }
  override log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const xs = this.#slices(x, 'x');
    const ys = this.#slices(y, 'y');
    return torch.stack(
      this.transforms.map((t, i) => t.log_abs_det_jacobian(xs[i], ys[i])),
      this.dim,
    );
  }
}
