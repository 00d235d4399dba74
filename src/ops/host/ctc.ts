/**
 * Connectionist temporal classification over plain arrays: the forward variables of the extended target (blank, l1, blank, l2, ..., blank), and
 * the gradient from forward and backward variables. All in float64 logarithms.
 * A. Graves et al., "Connectionist Temporal Classification", 2006; the gradient assumes that log_probs are a log_softmax, as PyTorch's does.
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
}

function logAdd(a: number, b: number): number {
  const high = Math.max(a, b);
  return high === -Infinity ? -Infinity : high + Math.log(Math.exp(a - high) + Math.exp(b - high));
}

interface Lattice {
  readonly time: number;
  readonly width: number;
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
    label: (s) => (s % 2 === 0 ? p.blank : Number(p.targets[start + (s - 1) / 2])),
    logProb: (t, c) => p.logProbs[(t * p.batch + n) * p.classes + c],
  };
}

/** Log probability of reaching state s at time t, having emitted up to it. Row-major [time, width]. */
function forwardVariables({ time, width, label, logProb }: Lattice): Float64Array {
  const alpha = new Float64Array(time * width).fill(-Infinity);
  if (time === 0) return alpha;
  alpha[0] = logProb(0, label(0));
  if (width > 1) alpha[1] = logProb(0, label(1));
  for (let t = 1; t < time; t++)
    for (let s = 0; s < width; s++) {
      const before = (t - 1) * width + s;
      let sum = alpha[before];
      if (s > 0) sum = logAdd(sum, alpha[before - 1]);
      if (s > 1 && s % 2 === 1 && label(s) !== label(s - 2)) sum = logAdd(sum, alpha[before - 2]);
      alpha[t * width + s] = sum + logProb(t, label(s));
    }
  return alpha;
}
function backwardVariables({ time, width, label, logProb }: Lattice): Float64Array {
  const beta = new Float64Array(time * width).fill(-Infinity);
  const last = (time - 1) * width;
  beta[last + width - 1] = logProb(time - 1, label(width - 1));
  if (width > 1) beta[last + width - 2] = logProb(time - 1, label(width - 2));
  for (let t = time - 2; t >= 0; t--)
    for (let s = width - 1; s >= 0; s--) {
      const after = (t + 1) * width + s;
      let sum = beta[after];
      if (s < width - 1) sum = logAdd(sum, beta[after + 1]);
      if (s < width - 2 && s % 2 === 1 && label(s) !== label(s + 2)) sum = logAdd(sum, beta[after + 2]);
      beta[t * width + s] = sum + logProb(t, label(s));
    }
  return beta;
}

function negativeLogLikelihood({ time, width }: Lattice, alpha: Float64Array): number {
  if (time === 0) return width === 1 ? 0 : Infinity;
  const end = time * width;
  return -(width > 1 ? logAdd(alpha[end - 1], alpha[end - 2]) : alpha[end - 1]);
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
  for (let n = 0; n < p.batch; n++) {
    const lattice = latticeOf(p, n);
    const { time, width, label, logProb } = lattice;
    if (time === 0) continue;
    const alpha = forwardVariables(lattice);
    const loss = negativeLogLikelihood(lattice, alpha);
    if (zeroInfinity && loss === Infinity) continue;
    const beta = backwardVariables(lattice);
    for (let t = 0; t < time; t++) {
      total.fill(-Infinity);
      for (let s = 0; s < width; s++) {
        const c = label(s);
        total[c] = logAdd(total[c], alpha[t * width + s] + beta[t * width + s]);
      }
      for (let c = 0; c < p.classes; c++) {
        const lp = logProb(t, c);
        out[(t * p.batch + n) * p.classes + c] = Math.exp(lp) - Math.exp(total[c] + loss - lp);
      }
    }
  }
}
