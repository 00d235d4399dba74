/** The part of a report that is small enough to be checked in: counts by operator, for FEATURES.md. */
import { type Report, summarize } from './run.ts';

export interface CompactReport {
  readonly device: string;
  /** `passed/total` by operator, module or program name. */
  readonly operators: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, string>>;
  readonly programs: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
}

export function compactReport(report: Report): CompactReport {
  const counts = (outcomes: Report['operators']): Record<string, string> =>
    Object.fromEntries([...summarize(outcomes)].map(([name, { passed, total }]) => [name, `${passed}/${total}`]));
  return {
    device: report.device,
    operators: counts(report.operators),
    modules: counts(report.modules),
    programs: counts(report.programs),
    lines: report.lines,
  };
}
