/**
 * Records that pass on `cpu` and not on `cuda`, by operator, module or program: how many, and why. At most forty records in all;
 * `reports.test.ts` holds the checked-in reports to this list.
 */
export interface NotOnCuda {
  readonly name: string;
  readonly records: number;
  readonly reason: string;
}

export const notOnCuda: readonly NotOnCuda[] = [];
