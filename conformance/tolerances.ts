/**
 * Operators whose results get more than assert_close's default tolerance: at most forty lines, at most twenty times, each with the reason.
 * Names are those of the records, without the variant; `modules` entries are the class's or optimizer's name. Tested for both limits.
 */
export interface Tolerance {
  readonly factor: number;
  readonly reason: string;
}

export const tolerances: Readonly<Record<string, Tolerance>> = {};

export const toleranceOf = (name: string): number => tolerances[name]?.factor ?? 1;
