/**
 * Which function computes the divergence of two distributions.
 *
 * `register_kl(P, Q, f)` says how the divergence of a P from a Q is computed; the most specific registration of both classes is used.
 */
import type { Tensor } from '../ops/methods.ts';
import type { Distribution } from './distribution.ts';
import { NotImplementedError } from './utils.ts';

/** A class, abstract or not, whatever its constructor takes. */
export interface DistributionClass<D extends Distribution = Distribution> {
  readonly prototype: D;
  readonly name: string;
}
type Divergence = (p: Distribution, q: Distribution) => Tensor;
interface Registration {
  readonly p: DistributionClass;
  readonly q: DistributionClass;
  readonly divergence: Divergence;
}
let registrations: readonly Registration[] = [];
const found = new Map<unknown, Map<unknown, Divergence | null>>();

/** Registers the divergence of two classes, also of their subclasses that have no own. */
export function register_kl<P extends Distribution, Q extends Distribution>(
  p: DistributionClass<P>,
  q: DistributionClass<Q>,
  divergence: (p: P, q: Q) => Tensor,
): void {
  const others = registrations.filter((r) => r.p !== p || r.q !== q);
  registrations = [...others, { p, q, divergence: divergence as unknown as Divergence }];
  found.clear();
}

const isSubclass = (a: DistributionClass, b: DistributionClass): boolean =>
  a === b || Object.prototype.isPrototypeOf.call(b.prototype, a.prototype);
/** Is one pair at least as specific as the other, looking at the first class, then at the second? */
function isBefore(a: readonly [DistributionClass, DistributionClass], b: readonly [DistributionClass, DistributionClass]): boolean {
  if (!isSubclass(a[0], b[0])) return false;
  return a[0] !== b[0] || isSubclass(a[1], b[1]);
}

function dispatch(p: DistributionClass, q: DistributionClass): Divergence | null {
  const matches = registrations.filter((r) => isSubclass(p, r.p) && isSubclass(q, r.q));
  if (matches.length === 0) return null;
  const left = matches.reduce((best, r) => (isBefore([r.p, r.q], [best.p, best.q]) ? r : best));
  const right = matches.reduce((best, r) => (isBefore([r.q, r.p], [best.q, best.p]) ? r : best));
  if (left.divergence !== right.divergence)
    console.warn(`Ambiguous kl_divergence(${p.name}, ${q.name}). Please register_kl(${left.p.name}, ${right.q.name})`);
  return left.divergence;
}

/** The divergence of p from q, over their batch. */
export function kl_divergence(p: Distribution, q: Distribution): Tensor {
  const [typeP, typeQ] = [p.constructor, q.constructor] as unknown as [DistributionClass, DistributionClass];
  const known = found.get(typeP) ?? new Map<unknown, Divergence | null>();
  found.set(typeP, known);
  let divergence = known.get(typeQ);
  if (divergence === undefined) {
    divergence = dispatch(typeP, typeQ);
    known.set(typeQ, divergence);
  }
  if (divergence === null) throw new NotImplementedError(`No KL(p || q) is implemented for p type ${typeP.name} and q type ${typeQ.name}`);
  return divergence(p, q);
}
