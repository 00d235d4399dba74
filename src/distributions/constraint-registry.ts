/**
 * From a constraint to a transform of unconstrained numbers. https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraint_registry
 *
 * `biject_to` is one to one with a Jacobian (for densities), `transform_to` only reaches every value (for optimization).
 */
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Constraint } from './constraints.ts';
import type { Transform } from './transforms.ts';
import * as transforms from './transforms.ts';
import { NotImplementedError, type Parameter } from './utils.ts';

type Factory<C extends Constraint = Constraint> = (constraint: C) => Transform;
/** A class, an instance of it, or the function that makes one. */
type Registered<C extends Constraint> =
  | C
  | (abstract new (
      ...args: never[]
    ) => C)
  | { (...args: never[]): C; readonly constraint: unknown };

export interface ConstraintRegistry {
  (constraint: Constraint): Transform;
  register<C extends Constraint>(constraint: Registered<C>, factory: Factory<C>): void;
}

function constraintRegistry(): ConstraintRegistry {
  const factories = new Map<unknown, Factory<never>>();
  const find = (constraint: Constraint): Transform => {
    const factory = factories.get(constraint.constructor);
    if (factory === undefined) throw new NotImplementedError(`Cannot transform ${constraint.constructor.name} constraints`);
    return factory(constraint as never);
  };
  return Object.assign(find, {
    register<C extends Constraint>(constraint: Registered<C>, factory: Factory<C>): void {
      const type: unknown =
        constraint instanceof Constraint ? constraint.constructor : 'constraint' in constraint ? constraint.constraint : constraint;
      if (typeof type !== 'function' || !(type.prototype instanceof Constraint))
        throw new TypeError(`Expected constraint to be either a Constraint subclass or instance, but got ${constraint}`);
      factories.set(type, factory);
    },
  });
}

export const biject_to: ConstraintRegistry = constraintRegistry();
export const transform_to: ConstraintRegistry = constraintRegistry();

function both<C extends Constraint>(constraint: Registered<C>, factory: Factory<C>): void {
  biject_to.register(constraint, factory);
  transform_to.register(constraint, factory);
}

both(constraints.real, () => transforms.identity_transform);
for (const registry of [biject_to, transform_to]) {
  registry.register(
    constraints.independent,
    (c) => new transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
  );
  registry.register(constraints.cat, (c) => new transforms.CatTransform(c.cseq.map(registry), c.dim, c.lengths));
  registry.register(constraints.stack, (c) => new transforms.StackTransform(c.cseq.map(registry), c.dim));
}

const above = (lower: Parameter): Transform =>
  new transforms.ComposeTransform([new transforms.ExpTransform(), new transforms.AffineTransform(lower, 1)]);
both(constraints.greater_than, (c) => above(c.lower_bound));
both(constraints.greater_than_eq, (c) => above(c.lower_bound));
both(
  constraints.less_than,
  (c) => new transforms.ComposeTransform([new transforms.ExpTransform(), new transforms.AffineTransform(c.upper_bound, -1)]),
);

function between({ lower_bound, upper_bound }: { readonly lower_bound: Parameter; readonly upper_bound: Parameter }): Transform {
  if (lower_bound === 0 && upper_bound === 1) return new transforms.SigmoidTransform();
  const scale =
    typeof upper_bound !== 'number'
      ? upper_bound.sub(lower_bound as number)
      : typeof lower_bound === 'number'
        ? upper_bound - lower_bound
        : torch.rsub(lower_bound as Tensor, upper_bound);
  return new transforms.ComposeTransform([new transforms.SigmoidTransform(), new transforms.AffineTransform(lower_bound, scale)]);
}
both(constraints.interval, between);
both(constraints.half_open_interval, between);

biject_to.register(constraints.simplex, () => new transforms.StickBreakingTransform());
transform_to.register(constraints.simplex, () => new transforms.SoftmaxTransform());
transform_to.register(constraints.lower_cholesky, () => new transforms.LowerCholeskyTransform());
transform_to.register(constraints.positive_definite, () => new transforms.PositiveDefiniteTransform());
transform_to.register(constraints.positive_semidefinite, () => new transforms.PositiveDefiniteTransform());
both(constraints.corr_cholesky, () => new transforms.CorrCholeskyTransform());
