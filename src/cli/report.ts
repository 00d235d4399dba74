/** The last lines of `npm start`: what was measured, on what, and which files were written. */
import { formatBytes, formatCount, formatSeconds } from './format.ts';

export interface Report {
  readonly text: string;
  readonly parameters: number;
  readonly device: string;
  readonly isa: string;
  readonly threads: number;
  readonly steps: number;
  readonly resumedAt: number;
  readonly interrupted: boolean;
  readonly tokens: number;
  /** In training steps after the first four, which compile; without measuring and saving. */
  readonly tokensPerSecond: number;
  readonly trainingLoss: number;
  readonly heldOutLoss: number;
  readonly heldOutCharacters: number;
  readonly wallSeconds: number;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** Only with `--json`, which streams nothing. */
  readonly sample?: string;
}

export function reportLines(report: Report): string[] {
  const resumed = report.resumedAt > 0 ? ` (continued at ${formatCount(report.resumedAt)})` : '';
  const rows: [string, string][] = [
    ['device', `${report.device}, ${report.isa}, ${report.threads} thread${report.threads === 1 ? '' : 's'}`],
    ['model', `${formatCount(report.parameters)} parameters, on ${report.text}`],
    ['steps', `${formatCount(report.steps)}${resumed}${report.interrupted ? ', interrupted' : ''}, ${formatCount(report.tokens)} tokens`],
    ['speed', `${formatCount(report.tokensPerSecond)} tokens/s in training steps after the first four`],
    ['training loss', `${report.trainingLoss.toFixed(4)} nats a character, mean of the last steps`],
    [
      'held-out loss',
      `${report.heldOutLoss.toFixed(4)} nats a character, over ${formatCount(report.heldOutCharacters)} characters that training never saw`,
    ],
    ['wall time', formatSeconds(report.wallSeconds)],
    ...report.files.map(({ path, bytes }): [string, string] => ['written', `${path} (${formatBytes(bytes)})`]),
  ];
  if (report.interrupted) rows.push(['continue with', `npm start -- --resume ${report.files[0]?.path ?? ''}`]);
  return rows.map(([name, value]) => `${name.padEnd(14)} ${value}`);
}
