/**
 * The base of all distributions. https://docs.pytorch.org/docs/stable/distributions.html#distribution
 *
 * A class says what its parameters and samples must satisfy (`arg_constraints`, `support`); checking, expanding and the text follow from that:
 * a parameter's event dims are its constraint's. Parameters are own fields; what is computed from them on first use (`logits` of `probs`)
 * becomes an own field too, which an expanded copy computes again. Checking reads values (it blocks); `validate_args: false` never does.
 */
import { enable_grad, no_grad } from '../autograd/modes.ts';
import { pythonTuple } from '../nn/repr.ts';
import { Tensor } from '../ops/methods.ts';
import { keep } from '../tensor/scope.ts';
import { type Constraint, dependent, is_dependent } from './constraints.ts';
import { isAllTrue, NotImplementedError, type Size, sizeText, valueText } from './utils.ts';

export type ConstraintTable = Readonly<Record<string, Constraint>>;
export interface DistributionOptions {
  readonly validate_args?: boolean | null;
}

const state = { validate: true };

export abstract class Distribution {
  /** What parameters must satisfy. */
  static readonly arg_constraints: ConstraintTable = {};
  /** Which values samples have. */
  static readonly support: Constraint = dependent;
  static readonly has_rsample: boolean = false;
  static readonly has_enumerate_support: boolean = false;
  /** Parameters that are computed from others: not checked before they are. */
  protected static readonly lazyParameters: readonly string[] = [];

  readonly batch_shape: number[];
  readonly event_shape: number[];
  readonly validate_args: boolean;

  /** Whether arguments are checked where a constructor does not say. */
  static set_default_validate_args(value: boolean): void {
    state.validate = value;
  }

  constructor(batch_shape: Size = [], event_shape: Size = [], { validate_args = null }: DistributionOptions = {}) {
    this.batch_shape = [...batch_shape];
    this.event_shape = [...event_shape];
    this.validate_args = validate_args ?? state.validate;
  }

  get arg_constraints(): ConstraintTable {
    return classOf(this).arg_constraints;
  }
  get support(): Constraint {
    return classOf(this).support;
  }
  get has_rsample(): boolean {
    return classOf(this).has_rsample;
  }
  get has_enumerate_support(): boolean {
    return classOf(this).has_enumerate_support;
  }
  get mean(): Tensor {
    throw new NotImplementedError();
  }
  get mode(): Tensor {
    throw new NotImplementedError(`<class 'torch.distributions.${moduleOf(this.constructor.name)}'> does not implement mode`);
  }
  get variance(): Tensor {
    throw new NotImplementedError();
  }
  get stddev(): Tensor {
    return this.variance.sqrt();
  }

  sample(sample_shape: Size = []): Tensor {
    return no_grad(() => this.rsample(sample_shape));
  }
  /** Samples that are differentiable in the parameters. */
  rsample(_sample_shape: Size = []): Tensor {
    throw new NotImplementedError();
  }
  sample_n(n: number): Tensor {
    return this.sample([n]);
  }
  log_prob(_value: Tensor): Tensor {
    throw new NotImplementedError();
  }
  cdf(_value: Tensor): Tensor {
    throw new NotImplementedError();
  }
  icdf(_value: Tensor): Tensor {
    throw new NotImplementedError();
  }
  /** All values of a discrete distribution, along a new first dim. */
  enumerate_support(_expand = true): Tensor {
    throw new NotImplementedError();
  }
  entropy(): Tensor {
    throw new NotImplementedError();
  }
  perplexity(): Tensor {
    return this.entropy().exp();
  }

  /**
   * The same distribution over a larger batch; views, no copies. No constructor runs, which is why distributions have no #private members:
   * the copy would lack them.
   */
  expand(batch_shape: Size): this {
    const fields = { ...this, ...this.expanded(batch_shape), batch_shape: [...batch_shape] };
    return Object.create(Object.getPrototypeOf(this) as object, Object.getOwnPropertyDescriptors(fields)) as this;
  }
  /** The fields of an expanded copy that differ: own parameters; a class with other such fields adds them. */
  protected expanded(batch_shape: Size): object {
    const fields: Record<string, Tensor> = {};
    for (const [name, constraint] of Object.entries(this.arg_constraints)) {
      const own = Object.getOwnPropertyDescriptor(this, name);
      if (own === undefined || !own.enumerable) continue;
      const parameter = own.value as Tensor;
      fields[name] = parameter.expand([...batch_shape, ...parameter.shape.slice(parameter.ndim - constraint.event_dim)]);
    }
    return fields;
  }

  /** The shape of samples. */
  protected extendedShape(sample_shape: Size = []): number[] {
    return [...sample_shape, ...this.batch_shape, ...this.event_shape];
  }

  /** Sets a parameter that has a getter: from now on it is a field. */
  protected own(name: string, value: Tensor): void {
    Object.defineProperty(this, name, { value, enumerable: true, configurable: true, writable: true });
  }
  /** Computes a value once; expanded copies compute it again. */
  protected remember(name: string, make: () => Tensor): Tensor {
    const value = keep(enable_grad(make));
    Object.defineProperty(this, name, { value, enumerable: false, configurable: true, writable: true });
    return value;
  }

  /** A constructor ends with this. */
  protected validateArguments(): void {
    if (!this.validate_args) return;
    const fields = this as unknown as Record<string, Tensor>;
    for (const [name, constraint] of Object.entries(this.arg_constraints)) {
      if (is_dependent(constraint)) continue;
      if (!Object.hasOwn(this, name) && classOf(this).lazyParameters.includes(name)) continue;
      const value = fields[name];
      if (!isAllTrue(constraint.check(value)))
        throw new Error(
          `Expected parameter ${name} (${kindOf(value)} of shape ${pythonTuple(value.shape)}) of distribution ${this} ` +
            `to satisfy the constraint ${constraint}, but found invalid values:\n${valueText(value)}`,
        );
    }
  }

  /** Checks a value that is to be scored. */
  validateSample(value: Tensor): void {
    if (!this.validate_args) return;
    if (!(value instanceof Tensor)) throw new Error('The value argument to log_prob must be a Tensor');
    const actual = value.shape;
    const tail = actual.slice(Math.max(0, actual.length - this.event_shape.length));
    if (this.event_shape.length > 0 && !sameShape(tail, this.event_shape))
      throw new Error(`The right-most size of value must match event_shape: ${sizeText(actual)} vs ${sizeText(this.event_shape)}.`);
    const expected = [...this.batch_shape, ...this.event_shape];
    for (let k = 1; k <= Math.min(actual.length, expected.length); k++) {
      const i = actual[actual.length - k];
      const j = expected[expected.length - k];
      if (i !== 1 && j !== 1 && i !== j)
        throw new Error(`Value is not broadcastable with batch_shape+event_shape: ${sizeText(actual)} vs ${sizeText(expected)}.`);
    }
    const { support } = this;
    if (!isAllTrue(support.check(value)))
      throw new Error(
        `Expected value argument (${kindOf(value)} of shape ${pythonTuple(actual)}) to be within the support (${support}) ` +
          `of the distribution ${this}, but found invalid values:\n${valueText(value)}`,
      );
  }

  toString(): string {
    const fields = this as unknown as Record<string, Tensor>;
    const parts = Object.keys(this.arg_constraints)
      .filter((name) => Object.hasOwn(this, name))
      .map((name) => `${name}: ${fields[name].numel() === 1 ? valueText(fields[name]) : sizeText(fields[name].shape)}`);
    return `${this.constructor.name}(${parts.join(', ')})`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

const classOf = (d: Distribution): typeof Distribution => d.constructor as typeof Distribution;
const kindOf = (x: Tensor): string => x.constructor.name;
export const sameShape = (a: Size, b: Size): boolean => a.length === b.length && a.every((n, i) => n === b[i]);

/** `half_normal.HalfNormal`: the class as Python names it. */
function moduleOf(name: string): string {
  const file = name.endsWith('Categorical') && name.includes('Relaxed') ? 'relaxed_categorical' : name.replace(/(?<=[a-z])(?=[A-Z])/g, '_');
  return `${file.toLowerCase()}.${name}`;
}

/** Exactly one of probabilities and logits. */
export function checkOneGiven(probs: unknown, logits: unknown): void {
  if ((probs === null) === (logits === null)) throw new Error('Either `probs` or `logits` must be specified, but not both.');
}
