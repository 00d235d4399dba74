/**
 * Connectionist temporal classification over plain arrays: the forward variables of the extended target (blank, l1, blank, l2, ..., blank), and
 * the gradient from forward and backward variables.
 *
 * Logarithms of sums are rounded to the dtype of the input at every step and in PyTorch's order: in float32 the result depends on that in the
 * fifth digit. A. Graves et al., "Connectionist Temporal Classification", 2006; the gradient assumes that log_probs are a log_softmax.
 */

export interface CtcProblem {
  /** [time, batch, classes]. */
  readonly logProbs: ArrayLike<number>;
  readonly batch: number;
  readonly classes: number;
  /** Targets of all samples: sample n's begin at `start(n)`. */
  readonly targets: ArrayLike<number | bigint>;
  readonly start: (sample: number) => number;
  readonly inputLengths: ArrayLike<number | bigint>;
  readonly targetLengths: ArrayLike<number | bigint>;
  readonly blank: number;
  /** To the dtype of the input. */
  readonly round: (x: number) => number;
}

const never = Number.NEGATIVE_INFINITY;

/** log(exp a + exp b + exp c), each operation rounded. */
function logSum(round: (x: number) => number, a: number, b: number, c: number | null): number {
  const high = Math.max(a, b, c ?? never);
  const peak = high === never ? 0 : high;
  const exp = (x: number): number => round(Math.exp(round(x - peak)));
  let sum = round(exp(a) + exp(b));
  if (c !== null) sum = round(sum + exp(c));
  return round(round(Math.log(sum)) + peak);
}

interface Lattice {
  readonly time: number;
  readonly width: number;
  readonly round: (x: number) => number;
  /** Class of state s of the extended target. */
  readonly label: (s: number) => number;
  readonly logProb: (t: number, c: number) => number;
}
function latticeOf(p: CtcProblem, n: number): Lattice {
  const length = Number(p.targetLengths[n]);
  const start = p.start(n);
  return {
    time: Number(p.inputLengths[n]),
    width: 2 * length + 1,
    round: p.round,
    label: (s) => (s % 2 === 0 ? p.blank : Number(p.targets[start + (s - 1) / 2])),
    logProb: (t, c) => p.logProbs[(t * p.batch + n) * p.classes + c],
  };
}

/** Log probability of reaching state s at time t, having emitted up to it. Row-major [time, width]. */
function forwardVariables({ time, width, round, label, logProb }: Lattice): Float64Array {
  const alpha = new Float64Array(time * width).fill(never);
  if (time === 0) return alpha;
  alpha[0] = logProb(0, label(0));
  if (width > 1) alpha[1] = logProb(0, label(1));
  for (let t = 1; t < time; t++)
    for (let s = 0; s < width; s++) {
      const before = (t - 1) * width + s;
      const skips = s > 1 && label(s) !== label(s - 2);
      const sum = logSum(round, alpha[before], s > 0 ? alpha[before - 1] : never, skips ? alpha[before - 2] : never);
      alpha[t * width + s] = round(sum + logProb(t, label(s)));
    }
  return alpha;
}
function backwardVariables({ time, width, round, label, logProb }: Lattice): Float64Array {
  const beta = new Float64Array(time * width).fill(never);
  const last = (time - 1) * width;
  beta[last + width - 1] = logProb(time - 1, label(width - 1));
  if (width > 1) beta[last + width - 2] = logProb(time - 1, label(width - 2));
  for (let t = time - 2; t >= 0; t--)
    for (let s = width - 1; s >= 0; s--) {
      const after = (t + 1) * width + s;
      const skips = s < width - 2 && label(s) !== label(s + 2);
      const sum = logSum(round, beta[after], s < width - 1 ? beta[after + 1] : never, skips ? beta[after + 2] : never);
      beta[t * width + s] = round(sum + logProb(t, label(s)));
    }
  return beta;
}

function negativeLogLikelihood({ time, width, round }: Lattice, alpha: Float64Array): number {
  if (time === 0) return width === 1 ? 0 : Number.POSITIVE_INFINITY;
  const end = time * width;
  return -logSum(round, alpha[end - 1], width > 1 ? alpha[end - 2] : never, null);
}

/** The loss of every sample. */
export function ctcLosses(p: CtcProblem, out: { [n: number]: number }): void {
  for (let n = 0; n < p.batch; n++) {
    const lattice = latticeOf(p, n);
    out[n] = negativeLogLikelihood(lattice, forwardVariables(lattice));
  }
}

/** d loss[n] / d logProbs, [time, batch, classes]; `out` is zero where it is not written. */
export function ctcGradient(p: CtcProblem, zeroInfinity: boolean, out: { [at: number]: number }): void {
  const total = new Float64Array(p.classes);
  const { round } = p;
  for (let n = 0; n < p.batch; n++) {
    const lattice = latticeOf(p, n);
    const { time, width, label, logProb } = lattice;
    if (time === 0) continue;
    const alpha = forwardVariables(lattice);
    const loss = negativeLogLikelihood(lattice, alpha);
    if (zeroInfinity && loss === Number.POSITIVE_INFINITY) continue;
    const beta = backwardVariables(lattice);
    for (let t = 0; t < time; t++) {
      total.fill(never);
      for (let s = width - 1; s >= 0; s--) {
        const c = label(s);
        const both = round(alpha[t * width + s] + beta[t * width + s]);
        total[c] = total[c] === never ? both : logSum(round, total[c], both, null);
      }
      for (let c = 0; c < p.classes; c++) {
        const lp = logProb(t, c);
        const rest = round(round(total[c] + loss) - lp);
        out[(t * p.batch + n) * p.classes + c] = round(round(Math.exp(lp)) - round(Math.exp(rest)));
      }
    }
  }
}
