/**
 * What the suite `cpu` found, as lines on a terminal and as the document `docs/performance.md`, whose part between the markers `by hand` is kept.
 * A ratio is ours over the rival's, of rates measured in one round: above 1 we are faster. Its range is the least and the largest of all rounds.
 */
import { type Comparison, formatComparison } from '../harness.ts';
import type { Check } from './check.ts';
import type { MachineLimits, Processor } from './limits.ts';
import { processRows, type Row, rows } from './rows.ts';

export interface RowResult {
  readonly id: string;
  /** Null: as many as it takes. */
  readonly threads: number | null;
  readonly comparison?: Comparison;
  /** Outputs against each rival's. */
  readonly checks?: Record<string, Check>;
  readonly failure?: string;
}

export interface CpuReport {
  readonly date: string;
  readonly node: string;
  readonly processor: Processor & { readonly cores: number; readonly loadBefore: number };
  /** Versions of those that took part. */
  readonly rivals: Readonly<Record<string, string>>;
  /** Reasons of those that did not. */
  readonly absent: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly limits: readonly MachineLimits[];
  readonly results: readonly RowResult[];
}

const rowOf = (id: string): Row | undefined => rows.find((row) => row.id === id);
const titleOf = (id: string): string => rowOf(id)?.title ?? processRows.find((row) => row.id === id)!.title;
const tolerated = (id: string): string => String(rowOf(id)?.tolerance ?? 0);

/** Rows whose outputs differ, or that could not be measured. */
export function failuresOf({ results }: CpuReport): string[] {
  return results.flatMap(({ id, threads, checks, failure }) => [
    ...(failure === undefined ? [] : [`${id}, ${threads} threads: ${failure}`]),
    ...Object.entries(checks ?? {})
      .filter(([, { ok }]) => !ok)
      .map(
        ([name, { difference, note }]) =>
          `${id}, ${threads} threads: outputs differ from ${name}'s by ${note ?? difference.toExponential(1)}, allowed ${tolerated(id)}`,
      ),
  ]);
}

export function formatResult({ id, threads, comparison, checks, failure }: RowResult): string {
  if (comparison === undefined) return `${titleOf(id)}, ${threads} threads: ${failure}`;
  const lines = [formatComparison(comparison)];
  for (const [name, { ok, difference, note }] of Object.entries(checks ?? {}))
    lines.push(
      `  outputs ${ok ? 'agree with' : 'DIFFER from'} ${name}'s: ${note ?? (difference === 0 ? 'equal' : `${difference.toExponential(1)} of the largest`)}`,
    );
  return lines.join('\n');
}

/** Time of a call, or tokens a second where that is what people say. */
function speed(unit: string, rate: number): string {
  switch (unit) {
    case 'calls/s':
    case 'steps/s':
    case 'starts/s': {
      const seconds = 1 / rate;
      return seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1000).toPrecision(3)} ms`;
    }
    case 'calls/us':
      return `${(1 / rate).toFixed(3)} us`;
    default:
      return `${rate >= 1000 ? Math.round(rate).toLocaleString('en-US') : rate.toPrecision(3)} ${unit}`;
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function goalText({ id, threads, comparison }: RowResult): string {
  const row = rowOf(id);
  if (row === undefined || comparison === undefined) return '';
  const parts: string[] = [];
  for (const [name, goal] of Object.entries(row.goals ?? {})) {
    const found = comparison.ratios.find(({ against }) => against === name);
    // Two threads may fall a little shorter in the one row that says so.
    const wanted = id === 'sgemm-2048' && threads === 2 ? 0.9 : goal;
    if (found !== undefined) parts.push(`${wanted.toFixed(2)} of ${name}: ${found.median >= wanted ? 'yes' : '**no**'}`);
  }
  const share = comparison.rivals[0]!.shareOfLimit;
  if (row.shareGoal !== undefined && share !== undefined)
    parts.push(`${percent(row.shareGoal)} of the limit: ${share >= row.shareGoal ? 'yes' : '**no**'}`);
  return parts.join('; ');
}

/** The terminal's last table: one line a row. */
export function formatTable(report: CpuReport): string {
  const cells = report.results.map((result) => {
    const { id, threads, comparison } = result;
    if (comparison === undefined) return [id, `${threads}`, 'failed', '', ''];
    const [ours] = comparison.rivals;
    return [
      id,
      threads === null ? '-' : `${threads}`,
      `${speed(comparison.unit, ours!.median)} ±${percent(ours!.spread)}`,
      comparison.ratios
        .map(({ against, median, low, high }) => `${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)}) ${against}`)
        .join('  ') || '-',
      ours!.shareOfLimit === undefined ? '' : `${percent(ours!.shareOfLimit)} of ${comparison.limit!.name}`,
    ];
  });
  const head = ['row', 'threads', 'torch-magpie', 'ratio to (range)', 'limit'];
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  return [head, ...cells]
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const begin = '<!-- by hand -->';
const end = '<!-- end of by hand -->';
const emptyByHand = `\n## Where a goal is missed\n\nNothing is written here yet.\n`;

/** The document; `before` is the one that is there. */
export function formatDocument(report: CpuReport, before: string | undefined): string {
  const { processor, limits, results } = report;
  const kept = before === undefined ? undefined : new RegExp(`${begin}([\\s\\S]*?)${end}`).exec(before)?.[1];
  const lines = [
    '# Performance on the CPU',
    '',
    'Written by `npm run bench -- --suite cpu --write` but for the part that says so; do not edit the rest. Every figure is of one run: all rivals',
    'alternate round by round, each in a process of its own, over the same random weights and inputs, and their outputs are compared in the same run.',
    'A ratio is the median over rounds of our rate over the rival’s in that round, with the least and the largest in brackets; above 1 we are faster.',
    'A spread (±) is half the distance between the quartiles.',
    '',
    '## The machine',
    '',
    `${processor.model}, ${processor.cores} cores for this process: ${processor.features.join(', ')}. Our kernels are emitted for ${processor.isa}. Node ${report.node.slice(1)};`,
    `${Object.entries(report.rivals)
      .map(([name, version]) => `${name} (${version})`)
      .join(', ')}. ${report.date.slice(0, 10)}, ${report.rounds} rounds, load ${processor.loadBefore.toFixed(1)} at the start.`,
    ...Object.entries(report.absent).map(([name, reason]) => `\nLeft out: ${name}: ${reason.replace(/\s+/g, ' ')}`),
    '',
    'Its limits, measured by emitted code just before the rows:',
    '',
    '| threads | fp32 multiply-adds | bf16 multiply-adds | read | copy (read and written) |',
    '| --- | --- | --- | --- | --- |',
    ...limits.map(
      (l) =>
        `| ${l.threads} | ${(l.peak / 1e9).toFixed(0)} GFLOP/s | ${(l.peakBf16 / 1e9).toFixed(0)} GFLOP/s (${l.bf16By}) | ${(l.read / 1e9).toFixed(1)} GB/s | ${(l.copy / 1e9).toFixed(1)} GB/s |`,
    ),
    '',
    '## The rows',
    '',
    '![Ratios to the rivals](performance.svg)',
    '',
    '| row | threads | torch-magpie | rivals | ratio (range) | share of the limit | goal | outputs |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...results.map(documentLine),
    '',
    '## The exact graphs',
    '',
    ...rows.map(({ title, graph }) => `- **${title}**: ${graph}`),
    ...processRows.map(({ title, graph }) => `- **${title}**: ${graph}`),
    '',
    `${begin}${kept ?? emptyByHand}${end}`,
    '',
  ];
  return lines.join('\n');
}

function documentLine(result: RowResult): string {
  const { id, threads, comparison, checks, failure } = result;
  const first = `| ${titleOf(id)} | ${threads ?? 'all'} |`;
  if (comparison === undefined) return `${first} ${failure} | | | | | |`;
  const [ours, ...others] = comparison.rivals;
  const cell = (entry: { readonly median: number; readonly spread: number }): string =>
    `${speed(comparison.unit, entry.median)} ±${percent(entry.spread)}`;
  const outputs = Object.entries(checks ?? {}).map(([, { ok, difference, note }]) =>
    ok ? (difference === 0 ? 'equal' : difference.toExponential(0)) : `**differ** (${note ?? difference.toExponential(1)})`,
  );
  return `${first} ${[
    cell(ours!),
    others.map((entry) => `${entry.name} ${cell(entry)}`).join('<br>') || '-',
    comparison.ratios.map(({ median, low, high }) => `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`).join('<br>') || '-',
    ours!.shareOfLimit === undefined ? '-' : `${percent(ours!.shareOfLimit)} of ${comparison.limit!.name}`,
    goalText(result) || '-',
    outputs.join('<br>') || '-',
  ].join(' | ')} |`;
}
