/**
 * Records that cannot be run, each with the reason. They count as failed and their operators as incomplete; the run prints the length of
 * this list. `dtypes` limits an entry to records of those dtypes.
 */
export interface NotRun {
  readonly op: string;
  readonly dtypes?: readonly string[];
  readonly reason: string;
}

export const notRun: readonly NotRun[] = [
  { op: 'chalf', reason: 'complex32 is not among the dtypes' },
  { op: 'hash_tensor', reason: 'uint64 is not among the dtypes' },
];

export const reasonNotRun = (op: string, dtype: string): string | null =>
  notRun.find((n) => n.op === op && (n.dtypes === undefined || n.dtypes.includes(dtype)))?.reason ?? null;
