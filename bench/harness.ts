/**
 * Rivals measured in alternating rounds, so that a slow minute of the machine hits all of them, and compared by ratio.
 *
 * Each rival gives one number a round (a rate; higher is better). The result is each one's median and spread (half the range
 * between the quartiles, relative to the median) and the median over rounds of the ratio within a round: that ratio does not see what changes between
 * rounds. The order within a round alternates too, because the first one finds a cooler machine.
 */
export interface Rival {
  readonly name: string;
  /** One measurement. Throws when the rival cannot run. */
  measure(round: number): Promise<number> | number;
}

export interface Limit {
  /** What bounds the rate: "memory bandwidth", "peak multiply-adds". */
  readonly name: string;
  readonly rate: number;
}

export interface RivalResult {
  readonly name: string;
  readonly samples: readonly number[];
  readonly median: number;
  readonly spread: number;
  /** Of the limit, where one is known. */
  readonly shareOfLimit?: number;
}

export interface Comparison {
  readonly title: string;
  readonly unit: string;
  readonly rivals: readonly RivalResult[];
  /** The first rival over each other one: above 1, the first is faster. */
  readonly ratios: readonly { readonly against: string; readonly median: number; readonly low: number; readonly high: number }[];
  readonly limit?: Limit;
}

export interface CompareOptions {
  readonly title: string;
  readonly unit: string;
  readonly rounds: number;
  /** Rounds that are run and thrown away. */
  readonly warmup?: number;
  readonly limit?: Limit;
  readonly onSample?: (round: number, name: string, value: number) => void;
}

/** Runs all rivals in alternating rounds. The first rival is the one that the ratios are about. */
export async function compare(rivals: readonly Rival[], options: CompareOptions): Promise<Comparison> {
  const { title, unit, rounds, warmup = 0, limit, onSample } = options;
  const samples = new Map<string, number[]>(rivals.map(({ name }) => [name, []]));
  for (let round = -warmup; round < rounds; round++) {
    const order = round % 2 === 0 ? rivals : [...rivals].reverse();
    for (const rival of order) {
      const value = await rival.measure(round);
      if (!(value > 0) || !Number.isFinite(value)) throw new Error(`${title}: ${rival.name} measured ${value} ${unit}`);
      if (round < 0) continue;
      samples.get(rival.name)!.push(value);
      onSample?.(round, rival.name, value);
    }
  }
  const results = rivals.map(({ name }): RivalResult => {
    const values = samples.get(name)!;
    const result = { name, samples: values, median: median(values), spread: spread(values) };
    return limit === undefined ? result : { ...result, shareOfLimit: result.median / limit.rate };
  });
  const [first, ...others] = results as [RivalResult, ...RivalResult[]];
  const ratios = others.map(({ name, samples: theirs }) => {
    const perRound = theirs.map((value, round) => first.samples[round]! / value);
    return { against: name, median: median(perRound), low: Math.min(...perRound), high: Math.max(...perRound) };
  });
  return limit === undefined ? { title, unit, rivals: results, ratios } : { title, unit, rivals: results, ratios, limit };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Half of the distance between the quartiles, over the median. */
export function spread(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / quantile(values, 0.5);
}

export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('internal: no samples');
  const sorted = [...values].sort((left, right) => left - right);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (place - below);
}

/** The table that people read. */
export function formatComparison({ title, unit, rivals, ratios, limit }: Comparison): string {
  const nameWidth = Math.max(...rivals.map(({ name }) => name.length));
  const lines = rivals.map(({ name, median: middle, spread: width, shareOfLimit, samples }) => {
    const share = shareOfLimit === undefined ? '' : `  ${(100 * shareOfLimit).toFixed(0)}% of ${limit?.name}`;
    const plural = samples.length === 1 ? 'round' : 'rounds';
    return `  ${name.padEnd(nameWidth)}  ${formatRate(middle).padStart(10)} ${unit} ±${(100 * width).toFixed(1)}% (${samples.length} ${plural})${share}`;
  });
  for (const { against, median: middle, low, high } of ratios) {
    lines.push(`  ${rivals[0]!.name} / ${against} = ${middle.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`);
  }
  return [title, ...lines].join('\n');
}

function formatRate(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
