import { describe, expect, test } from 'vitest';
import { compare, formatComparison, median, quantile, spread } from './harness.ts';

describe('the harness', () => {
  test('alternates the order of rivals from round to round and drops warm-up rounds', async () => {
    const log: string[] = [];
    const rival = (name: string, rate: number) => ({
      name,
      measure(round: number): number {
        log.push(`${name}${round}`);
        return rate * (round < 0 ? 100 : 1);
      },
    });
    const result = await compare([rival('a', 2), rival('b', 1)], { title: 't', unit: 'x/s', rounds: 2, warmup: 1 });
    expect(log).toEqual(['b-1', 'a-1', 'a0', 'b0', 'b1', 'a1']);
    expect(result.rivals.map((entry) => entry.samples)).toEqual([
      [2, 2],
      [1, 1],
    ]);
    expect(result.ratios).toEqual([{ against: 'b', median: 2, low: 2, high: 2 }]);
  });

  test('takes the ratio within rounds, so a machine that slows down for all changes nothing', async () => {
    const speeds = [1, 0.1, 5];
    const rival = (name: string, rate: number) => ({ name, measure: (round: number) => rate * speeds[round]! });
    const { ratios } = await compare([rival('a', 3), rival('b', 2)], { title: 't', unit: 'x/s', rounds: 3 });
    expect(ratios[0]!.low).toBeCloseTo(1.5);
    expect(ratios[0]!.high).toBeCloseTo(1.5);
  });

  test('refuses a measurement that is none', async () => {
    const rival = { name: 'a', measure: () => Number.NaN };
    await expect(compare([rival], { title: 't', unit: 'x/s', rounds: 1 })).rejects.toThrow(/a measured NaN/);
  });

  test('prints median, spread, share of the limit and ratio', async () => {
    const options = { title: 'matmul', unit: 'GFLOP/s', rounds: 1, limit: { name: 'peak', rate: 100 } };
    const text = formatComparison(
      await compare(
        [
          { name: 'ours', measure: () => 80 },
          { name: 'theirs', measure: () => 40 },
        ],
        options,
      ),
    );
    expect(text).toBe(
      'matmul\n  ours          80.0 GFLOP/s ±0.0% (1 round)  80% of peak\n  theirs        40.0 GFLOP/s ±0.0% (1 round)  40% of peak\n  ours / theirs = 2.00 (2.00 to 2.00)',
    );
  });

  test('quantiles interpolate', () => {
    expect([median([3, 1, 2]), median([1, 2, 3, 4]), quantile([0, 10], 0.25), spread([1, 2, 3])]).toEqual([2, 2.5, 2.5, 0.25]);
  });
});
