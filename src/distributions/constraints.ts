/**
 * Constraints: which values a parameter may have, or a sample can have. https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraints
 *
 * A constraint checks a batch of values, elementwise over the dims before its event dims. A dependent one is known only with other parameters.
 */
import { bool, finfo } from '../dtype/dtype.ts';
import { pythonFloat } from '../nn/repr.ts';
import { linalg, type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { isAllTrue, NotImplementedError, type Parameter, valueText } from './utils.ts';

/** The base class; its name is the one that Python shows. */
export abstract class Constraint {
  get is_discrete(): boolean {
    return false;
  }
  /** How many of the last dims make up one event. */
  get event_dim(): number {
    return 0;
  }
  /** True where a value satisfies the constraint, over the batch dims. */
  abstract check(value: Tensor): Tensor;
  toString(): string {
    return `${this.constructor.name}()`;
  }
}

interface DependentOptions {
  readonly is_discrete?: boolean;
  readonly event_dim?: number;
}

/** A constraint that depends on other parameters or values. */
export class Dependent extends Constraint {
  readonly #known: DependentOptions;
  constructor(known: DependentOptions = {}) {
    super();
    this.#known = known;
  }
  override get is_discrete(): boolean {
    if (this.#known.is_discrete === undefined) throw new NotImplementedError('.is_discrete cannot be determined statically');
    return this.#known.is_discrete;
  }
  override get event_dim(): number {
    if (this.#known.event_dim === undefined) throw new NotImplementedError('.event_dim cannot be determined statically');
    return this.#known.event_dim;
  }
  override check(): Tensor {
    throw new Error('Cannot determine validity of dependent constraint');
  }
}

/** A constraint whose last batch dims belong to the event. */
export class IndependentConstraint extends Constraint {
  readonly base_constraint: Constraint;
  readonly reinterpreted_batch_ndims: number;
  constructor(base: Constraint, dims: number) {
    super();
    this.base_constraint = base;
    this.reinterpreted_batch_ndims = dims;
  }
  override get is_discrete(): boolean {
    return this.base_constraint.is_discrete;
  }
  override get event_dim(): number {
    return this.base_constraint.event_dim + this.reinterpreted_batch_ndims;
  }
  override check(value: Tensor): Tensor {
    const result = this.base_constraint.check(value);
    if (result.ndim < this.reinterpreted_batch_ndims) throw new Error(`Expected value.dim() >= ${this.event_dim} but got ${value.ndim}`);
    return result.reshape([...result.shape.slice(0, result.ndim - this.reinterpreted_batch_ndims), -1]).all(-1);
  }
  override toString(): string {
    return `IndependentConstraint(${this.base_constraint}, ${this.reinterpreted_batch_ndims})`;
  }
}

/** The support of a mixture: the components' own, all of them. */
export class MixtureSameFamilyConstraint extends Constraint {
  readonly base_constraint: Constraint;
  constructor(base: Constraint) {
    super();
    this.base_constraint = base;
  }
  override get is_discrete(): boolean {
    return this.base_constraint.is_discrete;
  }
  override get event_dim(): number {
    return this.base_constraint.event_dim;
  }
  override check(value: Tensor): Tensor {
    const result = this.base_constraint.check(value.unsqueeze(-1 - this.event_dim));
    if (value.ndim < this.event_dim) throw new Error(`Expected value.dim() >= ${this.event_dim} but got ${value.ndim}`);
    return result.reshape([...result.shape.slice(0, value.ndim - this.event_dim), -1]).all(-1);
  }
  override toString(): string {
    return `MixtureSameFamilyConstraint(${this.base_constraint})`;
  }
}

const isZeroOrOne = (x: Tensor): Tensor => x.eq(0).logical_or(x.eq(1));

export class BooleanConstraint extends Constraint {
  override get is_discrete(): boolean {
    return true;
  }
  override check(value: Tensor): Tensor {
    return isZeroOrOne(value);
  }
  override toString(): string {
    return 'Boolean()';
  }
}

export class OneHot extends Constraint {
  override get is_discrete(): boolean {
    return true;
  }
  override get event_dim(): number {
    return 1;
  }
  override check(value: Tensor): Tensor {
    return isZeroOrOne(value).all(-1).logical_and(value.sum(-1).eq(1));
  }
}

interface Bounds {
  readonly lower_bound?: Parameter;
  readonly upper_bound?: Parameter;
}
/** What an interval's ends are: compared with `ge`/`le` or strictly. */
abstract class Bounded extends Constraint {
  readonly lower_bound: Parameter;
  readonly upper_bound: Parameter;
  readonly #given: Bounds;
  constructor(bounds: Bounds) {
    super();
    this.#given = bounds;
    this.lower_bound = bounds.lower_bound ?? Number.NEGATIVE_INFINITY;
    this.upper_bound = bounds.upper_bound ?? Number.POSITIVE_INFINITY;
  }
  override toString(): string {
    const parts = Object.entries(this.#given).map(([name, bound]) => `${name}=${this.boundText(bound as Parameter)}`);
    return `${this.constructor.name}(${parts.join(', ')})`;
  }
  protected boundText(bound: Parameter): string {
    return typeof bound === 'number' ? pythonFloat(bound) : valueText(bound);
  }
}
const atLeast = (x: Tensor, bound: Parameter): Tensor => x.ge(bound as number);
const atMost = (x: Tensor, bound: Parameter): Tensor => x.le(bound as number);

abstract class IntegerBounded extends Bounded {
  override get is_discrete(): boolean {
    return true;
  }
  protected override boundText(bound: Parameter): string {
    return typeof bound === 'number' ? String(bound) : valueText(bound);
  }
}
const isWhole = (x: Tensor): Tensor => x.remainder(1).eq(0);

export class IntegerInterval extends IntegerBounded {
  constructor(lower_bound: Parameter, upper_bound: Parameter) {
    super({ lower_bound, upper_bound });
  }
  override check(value: Tensor): Tensor {
    return isWhole(value).logical_and(atLeast(value, this.lower_bound)).logical_and(atMost(value, this.upper_bound));
  }
}
export class IntegerLessThan extends IntegerBounded {
  constructor(upper_bound: Parameter) {
    super({ upper_bound });
  }
  override check(value: Tensor): Tensor {
    return isWhole(value).logical_and(atMost(value, this.upper_bound));
  }
}
export class IntegerGreaterThan extends IntegerBounded {
  constructor(lower_bound: Parameter) {
    super({ lower_bound });
  }
  override check(value: Tensor): Tensor {
    return isWhole(value).logical_and(atLeast(value, this.lower_bound));
  }
}

/** Everything but nan. */
export class Real extends Constraint {
  override check(value: Tensor): Tensor {
    return value.eq(value);
  }
}
export class GreaterThan extends Bounded {
  constructor(lower_bound: Parameter) {
    super({ lower_bound });
  }
  override check(value: Tensor): Tensor {
    return value.gt(this.lower_bound as number);
  }
}
export class GreaterThanEq extends Bounded {
  constructor(lower_bound: Parameter) {
    super({ lower_bound });
  }
  override check(value: Tensor): Tensor {
    return atLeast(value, this.lower_bound);
  }
}
export class LessThan extends Bounded {
  constructor(upper_bound: Parameter) {
    super({ upper_bound });
  }
  override check(value: Tensor): Tensor {
    return value.lt(this.upper_bound as number);
  }
}
export class Interval extends Bounded {
  constructor(lower_bound: Parameter, upper_bound: Parameter) {
    super({ lower_bound, upper_bound });
  }
  override check(value: Tensor): Tensor {
    return atLeast(value, this.lower_bound).logical_and(atMost(value, this.upper_bound));
  }
}
export class HalfOpenInterval extends Bounded {
  constructor(lower_bound: Parameter, upper_bound: Parameter) {
    super({ lower_bound, upper_bound });
  }
  override check(value: Tensor): Tensor {
    return atLeast(value, this.lower_bound).logical_and(value.lt(this.upper_bound as number));
  }
}

export class Simplex extends Constraint {
  override get event_dim(): number {
    return 1;
  }
  override check(value: Tensor): Tensor {
    return value.ge(0).all(-1).logical_and(value.sum(-1).sub(1).abs().lt(1e-6));
  }
}
/** Counts that sum to at most an upper bound. */
export class MultinomialConstraint extends Constraint {
  readonly upper_bound: number;
  constructor(upper_bound: number) {
    super();
    this.upper_bound = upper_bound;
  }
  override get is_discrete(): boolean {
    return true;
  }
  override get event_dim(): number {
    return 1;
  }
  override check(value: Tensor): Tensor {
    return value.ge(0).all(-1).logical_and(value.sum(-1).le(this.upper_bound));
  }
  override toString(): string {
    return 'Multinomial()';
  }
}

abstract class MatrixConstraint extends Constraint {
  override get event_dim(): number {
    return 2;
  }
}
const isLower = (x: Tensor): Tensor => x.tril().eq(x).all(-1).all(-1);
const isLowerCholesky = (x: Tensor): Tensor => isLower(x).logical_and(x.diagonal(0, -2, -1).gt(0).all(-1));

export class LowerTriangular extends MatrixConstraint {
  override check(value: Tensor): Tensor {
    return isLower(value);
  }
}
export class LowerCholesky extends MatrixConstraint {
  override check(value: Tensor): Tensor {
    return isLowerCholesky(value);
  }
}
export class CorrCholesky extends MatrixConstraint {
  override check(value: Tensor): Tensor {
    // Ten roundings for each element of a row.
    const tolerance = finfo(value.dtype).eps * value.shape[value.ndim - 1] * 10;
    const norm = value.detach().square().sum(-1).sqrt();
    return isLowerCholesky(value).logical_and(norm.sub(1).abs().le(tolerance).all(-1));
  }
}
export class Square extends MatrixConstraint {
  override check(value: Tensor): Tensor {
    const [rows, columns] = value.shape.slice(-2);
    return torch.full(value.shape.slice(0, -2), rows === columns, { dtype: bool, device: value.device });
  }
}
export class Symmetric extends Square {
  override check(value: Tensor): Tensor {
    const square = super.check(value);
    return isAllTrue(square) ? torch.isclose(value, value.mT, 1e-5, 1e-6).all(-2).all(-1) : square;
  }
}
export class PositiveSemidefinite extends Symmetric {
  override check(value: Tensor): Tensor {
    const symmetric = super.check(value);
    return isAllTrue(symmetric) ? linalg.eigvalsh(value).ge(0).all(-1) : symmetric;
  }
}
export class PositiveDefinite extends Symmetric {
  override check(value: Tensor): Tensor {
    const symmetric = super.check(value);
    return isAllTrue(symmetric) ? linalg.cholesky_ex(value)[1].eq(0) : symmetric;
  }
}

/** Constraints for parts along a dim, of these lengths. */
export class Cat extends Constraint {
  readonly cseq: readonly Constraint[];
  readonly dim: number;
  readonly lengths: readonly number[];
  constructor(cseq: readonly Constraint[], dim = 0, lengths: readonly number[] | null = null) {
    super();
    this.cseq = [...cseq];
    this.dim = dim;
    this.lengths = lengths ?? cseq.map(() => 1);
    if (this.lengths.length !== this.cseq.length) throw new Error(`lengths (${this.lengths.length}) must match cseq (${this.cseq.length})`);
  }
  override get is_discrete(): boolean {
    return this.cseq.some((c) => c.is_discrete);
  }
  override get event_dim(): number {
    return Math.max(...this.cseq.map((c) => c.event_dim));
  }
  override check(value: Tensor): Tensor {
    checkDim(this.dim, value);
    let start = 0;
    const checks = this.cseq.map((c, i) => {
      const part = value.narrow(this.dim, start, this.lengths[i]);
      start += this.lengths[i];
      return c.check(part);
    });
    return torch.cat(checks, this.dim);
  }
}
/** Constraints for the slices along a dim. */
export class Stack extends Constraint {
  readonly cseq: readonly Constraint[];
  readonly dim: number;
  constructor(cseq: readonly Constraint[], dim = 0) {
    super();
    this.cseq = [...cseq];
    this.dim = dim;
  }
  override get is_discrete(): boolean {
    return this.cseq.some((c) => c.is_discrete);
  }
  override get event_dim(): number {
    const most = Math.max(...this.cseq.map((c) => c.event_dim));
    return this.dim + most < 0 ? most + 1 : most;
  }
  override check(value: Tensor): Tensor {
    checkDim(this.dim, value);
    return torch.stack(
      this.cseq.map((c, i) => c.check(value.select(this.dim, i))),
      this.dim,
    );
  }
}
function checkDim(dim: number, value: Tensor): void {
  if (dim < -value.ndim || dim >= value.ndim) throw new Error(`dim ${dim} out of range for value with ${value.ndim} dimensions`);
}

/** Is it a constraint that needs more than the value to be checked? */
export const is_dependent = (constraint: Constraint): boolean => constraint instanceof Dependent;

/** A class that is called without `new`; the registries find the class behind it. */
export type ConstraintFunction<A extends readonly unknown[], C extends Constraint> = ((...args: A) => C) & {
  readonly constraint: unknown;
};
function callable<A extends readonly unknown[], C extends Constraint>(constraint: new (...args: A) => C): ConstraintFunction<A, C> {
  return Object.assign((...args: A): C => new constraint(...args), { constraint });
}

export const dependent: Dependent = new Dependent();
export const independent: ConstraintFunction<[Constraint, number], IndependentConstraint> = callable(IndependentConstraint);
export const boolean: Constraint = new BooleanConstraint();
export const one_hot: Constraint = new OneHot();
export const nonnegative_integer: IntegerGreaterThan = new IntegerGreaterThan(0);
export const positive_integer: IntegerGreaterThan = new IntegerGreaterThan(1);
export const integer_interval: ConstraintFunction<[Parameter, Parameter], IntegerInterval> = callable(IntegerInterval);
export const real: Constraint = new Real();
export const real_vector: Constraint = independent(real, 1);
export const positive: GreaterThan = new GreaterThan(0);
export const nonnegative: GreaterThanEq = new GreaterThanEq(0);
export const greater_than: ConstraintFunction<[Parameter], GreaterThan> = callable(GreaterThan);
export const greater_than_eq: ConstraintFunction<[Parameter], GreaterThanEq> = callable(GreaterThanEq);
export const less_than: ConstraintFunction<[Parameter], LessThan> = callable(LessThan);
export const multinomial: ConstraintFunction<[number], MultinomialConstraint> = callable(MultinomialConstraint);
export const unit_interval: Interval = new Interval(0, 1);
export const interval: ConstraintFunction<[Parameter, Parameter], Interval> = callable(Interval);
export const half_open_interval: ConstraintFunction<[Parameter, Parameter], HalfOpenInterval> = callable(HalfOpenInterval);
export const simplex: Constraint = new Simplex();
export const lower_triangular: Constraint = new LowerTriangular();
export const lower_cholesky: Constraint = new LowerCholesky();
export const corr_cholesky: Constraint = new CorrCholesky();
export const square: Constraint = new Square();
export const symmetric: Constraint = new Symmetric();
export const positive_semidefinite: Constraint = new PositiveSemidefinite();
export const positive_definite: Constraint = new PositiveDefinite();
export const cat: ConstraintFunction<[readonly Constraint[], number?, (readonly number[] | null)?], Cat> = callable(Cat);
export const stack: ConstraintFunction<[readonly Constraint[], number?], Stack> = callable(Stack);
