/**
 * L-BFGS, with PyTorch's strong Wolfe line search: https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
 *
 * The algorithm decides on numbers at every turn, so it reads them; directions and products stay on the device.
 */
import { enable_grad, no_grad } from '../autograd/modes.ts';
import { float64 } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions } from '../ops/methods.ts';
import { type GroupInput, Optimizer } from './optimizer.ts';

export interface LBFGSOptions {
  lr: number;
  max_iter: number;
  max_eval: number | null;
  tolerance_grad: number;
  tolerance_change: number;
  history_size: number;
  line_search_fn: 'strong_wolfe' | null;
}
const order = ['lr', 'max_iter', 'max_eval', 'tolerance_grad', 'tolerance_change', 'history_size', 'line_search_fn'] as const;

/** A point of a line search: step, loss, gradient, slope along the direction. */
interface Point {
  readonly t: number;
  readonly f: number;
  readonly g: Tensor;
  readonly slope: number;
}
interface Memory {
  direction: Tensor | null;
  t: number;
  readonly gradients: Tensor[];
  readonly steps: Tensor[];
  readonly inverses: number[];
  scale: number;
  previous: Tensor | null;
  iterations: number;
  evaluations: number;
}

/** PyTorch computes slopes, steps and scales as tensors of the parameters' dtype; so are they rounded here. */
type Round = (x: number) => number;

const dot = (a: Tensor, b: Tensor): number => Number((a.matmul(b) as Tensor).item());
const largest = (a: Tensor): number => Number(a.abs().max().item());

export class LBFGS extends Optimizer<LBFGSOptions> {
  readonly #memory: Memory = {
    direction: null,
    t: 0,
    gradients: [],
    steps: [],
    inverses: [],
    scale: 1,
    previous: null,
    iterations: 0,
    evaluations: 0,
  };

  constructor(params: Iterable<Tensor | GroupInput<LBFGSOptions>>, ...args: ConstructorArguments<Partial<LBFGSOptions>, typeof order>) {
    const defaults = {
      lr: 1,
      max_iter: 20,
      max_eval: null,
      tolerance_grad: 1e-7,
      tolerance_change: 1e-9,
      history_size: 100,
      line_search_fn: null,
    };
    const o = bindConstructor<LBFGSOptions>('LBFGS', order, defaults, args);
    if (!(o.lr >= 0)) throw new Error(`Invalid learning rate: ${o.lr}`);
    super(params, { ...o, max_eval: o.max_eval ?? Math.floor((o.max_iter * 5) / 4) });
    if (this.param_groups.length !== 1) throw new Error("LBFGS doesn't support per-parameter options (parameter groups)");
  }
  protected override update(): void {
    throw new Error('internal: LBFGS makes its own steps');
  }

  override step(): void;
  override step<T>(closure: () => T): T;
  override step<T>(closure?: () => T): T | undefined {
    if (closure === undefined) throw new TypeError("LBFGS.step() missing 1 required positional argument: 'closure'");
    return no_grad(() => this.#minimize(closure));
  }

  #minimize<T>(closure: () => T): T {
    const [group] = this.param_groups;
    const { lr, max_iter, tolerance_grad, tolerance_change, line_search_fn, history_size } = group;
    const max_eval = group.max_eval!;
    const round: Round = group.params[0].dtype === float64 ? (x) => x : Math.fround;
    const m = this.#memory;
    const evaluate = (): { loss: T; value: number } => {
      const loss = enable_grad(closure);
      return { loss, value: typeof loss === 'number' ? loss : Number((loss as Tensor).item()) };
    };
    const first = evaluate();
    let loss = first.value;
    let evaluations = 1;
    m.evaluations++;
    let gradient = this.#gradient();
    if (largest(gradient) <= tolerance_grad) return first.loss;

    for (let iteration = 1; iteration <= max_iter; iteration++) {
      m.iterations++;
      if (m.iterations === 1) {
        m.direction = gradient.neg() as Tensor;
        m.scale = 1;
      } else this.#newDirection(gradient, history_size, round);
      const direction = m.direction!;
      m.previous = gradient.clone() as Tensor;
      const before = loss;
      m.t = m.iterations === 1 ? round(Math.min(1, round(1 / Number(gradient.abs().sum().item()))) * lr) : lr;
      const slope = dot(gradient, direction);
      if (slope > -tolerance_change) break;
      let used = 0;
      let flat: boolean;
      if (line_search_fn !== null) {
        if (line_search_fn !== 'strong_wolfe') throw new Error("only 'strong_wolfe' is supported");
        const at = this.param_groups[0].params.map((p) => p.detach().clone() as Tensor);
        const probe = (t: number): { f: number; g: Tensor } => {
          this.#move(t, direction);
          const f = evaluate().value;
          const g = this.#gradient();
          this.param_groups[0].params.forEach((p, i) => {
            p.copy_(at[i]);
          });
          return { f, g };
        };
        const start: Point = { t: 0, f: loss, g: gradient, slope };
        const found = strongWolfe(probe, m.t, direction, start, max_eval - evaluations, round);
        loss = found.point.f;
        gradient = found.point.g;
        m.t = found.point.t;
        used = found.evaluations;
        this.#move(m.t, direction);
        flat = largest(gradient) <= tolerance_grad;
      } else {
        this.#move(m.t, direction);
        flat = false;
        if (iteration !== max_iter) {
          loss = evaluate().value;
          gradient = this.#gradient();
          flat = largest(gradient) <= tolerance_grad;
          used = 1;
        }
      }
      evaluations += used;
      m.evaluations += used;
      if (iteration === max_iter || evaluations >= max_eval || flat) break;
      if (largest(direction.mul(m.t) as Tensor) <= tolerance_change) break;
      if (Math.abs(loss - before) < tolerance_change) break;
    }
    return first.loss;
  }

  /** The two-loop recursion over the remembered steps. */
  #newDirection(gradient: Tensor, history: number, round: Round): void {
    const m = this.#memory;
    const y = gradient.sub(m.previous!) as Tensor;
    const s = m.direction!.mul(m.t) as Tensor;
    const ys = dot(y, s);
    if (ys > 1e-10) {
      if (m.gradients.length === history) {
        m.gradients.shift();
        m.steps.shift();
        m.inverses.shift();
      }
      m.gradients.push(y);
      m.steps.push(s);
      m.inverses.push(round(1 / ys));
      m.scale = round(ys / dot(y, y));
    }
    const along: number[] = [];
    let q = gradient.neg() as Tensor;
    for (let i = m.gradients.length - 1; i >= 0; i--) {
      along[i] = round(dot(m.steps[i], q) * m.inverses[i]);
      q = q.add(m.gradients[i], { alpha: -along[i] }) as Tensor;
    }
    let r = q.mul(m.scale) as Tensor;
    for (let i = 0; i < m.gradients.length; i++) {
      const back = round(dot(m.gradients[i], r) * m.inverses[i]);
      r = r.add(m.steps[i], { alpha: round(along[i] - back) }) as Tensor;
    }
    m.direction = r;
  }

  #gradient(): Tensor {
    return torchFunctions
      .cat(
        this.param_groups[0].params.map(
          (p) => (p.grad_ === null ? (p.detach().mul(0) as Tensor) : (p.grad_ as Tensor)).reshape(-1) as Tensor,
        ),
      )
      .clone() as Tensor;
  }
  #move(t: number, direction: Tensor): void {
    let at = 0;
    for (const p of this.param_groups[0].params) {
      const n = p.numel();
      p.add_((direction.narrow(0, at, n) as Tensor).view_as(p) as Tensor, { alpha: t });
      at += n;
    }
  }
}

/** The minimum of the cubic through two points with slopes, kept within bounds. */
function cubicMinimum(a: Point, b: Point, round: Round, bounds?: readonly [number, number]): number {
  const [low, high] = bounds ?? (a.t <= b.t ? [a.t, b.t] : [b.t, a.t]);
  const d1 = round(round(a.slope + b.slope) - round((3 * (a.f - b.f)) / round(a.t - b.t)));
  const square = round(round(d1 * d1) - round(a.slope * b.slope));
  if (!(square >= 0)) return round((low + high) / 2);
  const d2 = round(Math.sqrt(square));
  const [near, far] = a.t <= b.t ? [a, b] : [b, a];
  const share = round(round(round(far.slope + d2) - d1) / round(round(far.slope - near.slope) + 2 * d2));
  return Math.min(Math.max(round(far.t - round(round(far.t - near.t) * share)), low), high);
}

/** A step that satisfies the strong Wolfe conditions (c1 = 1e-4, c2 = 0.9): bracket, then zoom. */
function strongWolfe(
  probe: (t: number) => { f: number; g: Tensor },
  firstStep: number,
  direction: Tensor,
  start: Point,
  mostEvaluations: number,
  round: Round,
): { point: Point; evaluations: number } {
  const [c1, c2, tolerance] = [1e-4, 0.9, 1e-9];
  const reach = largest(direction);
  const armijo = (t: number): number => round(start.f + round(round(c1 * t) * start.slope));
  const at = (t: number): Point => {
    const { f, g } = probe(t);
    return { t, f, g, slope: dot(g, direction) };
  };
  let evaluations = 1;
  let now = at(firstStep);
  let previous = start;
  let bracket: Point[] = [];
  let done = false;
  let turns = 0;
  while (turns < mostEvaluations) {
    if (now.f > armijo(now.t) || (turns > 1 && now.f >= previous.f)) {
      bracket = [previous, now];
      break;
    }
    if (Math.abs(now.slope) <= -c2 * start.slope) {
      bracket = [now];
      done = true;
      break;
    }
    if (now.slope >= 0) {
      bracket = [previous, now];
      break;
    }
    const next = cubicMinimum(previous, now, round, [round(now.t + round(0.01 * round(now.t - previous.t))), round(now.t * 10)]);
    previous = now;
    now = at(next);
    evaluations++;
    turns++;
  }
  if (turns === mostEvaluations) bracket = [start, now];
  let stuck = false;
  let [low, high] = bracket[0].f <= bracket[bracket.length - 1].f ? [0, 1] : [1, 0];
  while (!done && turns < mostEvaluations) {
    if (Math.abs(bracket[1].t - bracket[0].t) * reach < tolerance) break;
    const [least, most] = [Math.min(bracket[0].t, bracket[1].t), Math.max(bracket[0].t, bracket[1].t)];
    let t = cubicMinimum(bracket[0], bracket[1], round);
    const margin = round(0.1 * round(most - least));
    if (Math.min(most - t, t - least) < margin) {
      if (stuck || t >= most || t <= least) {
        t = Math.abs(t - most) < Math.abs(t - least) ? round(most - margin) : round(least + margin);
        stuck = false;
      } else stuck = true;
    } else stuck = false;
    now = at(t);
    evaluations++;
    turns++;
    if (now.f > armijo(t) || now.f >= bracket[low].f) {
      bracket[high] = now;
      [low, high] = bracket[0].f <= bracket[1].f ? [0, 1] : [1, 0];
    } else {
      if (Math.abs(now.slope) <= -c2 * start.slope) done = true;
      else if (now.slope * (bracket[high].t - bracket[low].t) >= 0) bracket[high] = bracket[low];
      bracket[low] = now;
    }
  }
  return { point: bracket[low], evaluations };
}
