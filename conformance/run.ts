/**
 * One run over a folder of records on one device: a plain loop, every failure caught, counts and reasons in a report.
 */
import { core } from './api.ts';
import { AtenSchemas } from './arguments.ts';
import type { NetworkRecord, Records } from './data.ts';
import { clearPending, setFlush } from './engine-access.ts';
import { checkForms, type FormCounts, type FormsMode, newFormCounts } from './forms.ts';
import { checkGradients, type GradientCounts, newGradientCounts } from './gradients.ts';
import { runNetwork } from './modules.ts';
import { notRun, reasonNotRun } from './not-run.ts';
import { type Context, messageOf, runOperator } from './operators.ts';
import { runProgram } from './programs.ts';

export interface Outcome {
  readonly name: string;
  readonly index: number;
  readonly dtype: string;
  /** Null: passed. */
  readonly reason: string | null;
}
export interface Report {
  readonly device: string;
  readonly seconds: number;
  readonly operators: readonly Outcome[];
  readonly modules: readonly Outcome[];
  readonly programs: readonly Outcome[];
  readonly forms: FormCounts;
  /** Where they were asked for. */
  readonly gradients: GradientCounts | null;
  readonly lines: readonly string[];
}
export interface RunOptions {
  readonly device: string;
  readonly only?: RegExp | undefined;
  readonly forms?: FormsMode | undefined;
  /** When the engine computes: `lazy` unless told, `eager`, `random:SEED`. */
  readonly flush?: string | undefined;
  /** Check gradients against differences instead of results against records. */
  readonly gradients?: boolean | undefined;
  /** Every `count`th record, from `index` on. */
  readonly shard?: { readonly index: number; readonly count: number } | undefined;
  /** Called after each record. */
  readonly progress?: ((outcome: Outcome) => void) | undefined;
}

/** Devices whose random operators draw from PyTorch's CPU generator. */
const cpuGenerator = new Set(['cpu', 'cuda', 'wasm', 'reference', 'null']);

export async function runConformance(records: Records, options: RunOptions): Promise<Report> {
  const started = performance.now();
  const { device, only, shard } = options;
  let turn = 0;
  const chosen = (name: string): boolean => {
    if (only !== undefined && !only.test(name)) return false;
    return shard === undefined || turn++ % shard.count === shard.index;
  };
  core.set_default_device(device);
  setFlush(options.flush ?? 'lazy');
  const schemas = new AtenSchemas((records.api['aten_schemas'] as string[] | undefined) ?? []);
  const context: Context = { device, archive: records.operators, schemas, exactRandom: cpuGenerator.has(device) };
  const forms = newFormCounts();

  const attempt = async (name: string, index: number, dtype: string, body: () => Promise<string | null>): Promise<Outcome> => {
    let reason: string | null;
    try {
      reason = await body();
    } catch (error) {
      reason = messageOf(error);
      clearPending(device);
    }
    const outcome = { name, index, dtype, reason };
    options.progress?.(outcome);
    return outcome;
  };

  if (options.gradients) {
    const gradients = newGradientCounts();
    for (const [index, record] of records.operators.samples.entries())
      if (chosen(record.op))
        await attempt(record.op, index, record.dtype, async () => {
          await checkGradients(record, index, context, gradients);
          return null;
        });
    const { first, second } = gradients;
    const lines = [
      `gradcheck ${device}: ${first.passed} of ${first.total} records, gradgradcheck: ${second.passed} of ${second.total}, of ${gradients.seen.size} operators`,
    ];
    const seconds = (performance.now() - started) / 1000;
    return { device, seconds, operators: [], modules: [], programs: [], forms, gradients, lines };
  }
  const operators: Outcome[] = [];
  for (const [index, record] of records.operators.samples.entries()) {
    if (!chosen(record.op)) continue;
    operators.push(
      await attempt(record.op, index, record.dtype, async () => {
        const excuse = reasonNotRun(record.op, record.dtype);
        if (excuse !== null) return `not run: ${excuse}`;
        return (await runOperator(record, context)) ?? (await checkForms(record, context, options.forms ?? 'sample', forms, records.api));
      }),
    );
  }
  const modules: Outcome[] = [];
  for (const [index, record] of records.network.samples.entries()) {
    const name = networkName(record);
    if (!chosen(name)) continue;
    modules.push(await attempt(name, index, '', () => runNetwork(record, records.network, device, schemas)));
  }
  const programs: Outcome[] = [];
  for (const [index, record] of records.programs.entries()) {
    if (!chosen(record.id)) continue;
    programs.push(await attempt(record.id, index, '', () => runProgram(record, device, schemas)));
  }
  const seconds = (performance.now() - started) / 1000;
  return {
    device,
    seconds,
    operators,
    modules,
    programs,
    forms,
    gradients: null,
    lines: summaryLines(device, operators, modules, programs),
  };
}

export function networkName(record: NetworkRecord): string {
  if ('module' in record) return String(record.module);
  if ('optim' in record) return `optim.${String(record.optim)}`;
  if ('scheduler' in record) return `optim.lr_scheduler.${String(record.scheduler)}`;
  if ('dist' in record) return `distributions.${String(record.dist)}`;
  if ('kl' in record) return `kl ${(record.kl as readonly string[]).join(' ')}`;
  return `rng.${String(record.rng)}`;
}

export interface OperatorSummary {
  readonly passed: number;
  readonly total: number;
  readonly first: string | null;
}
/** Counts by name, in order of appearance. */
export function summarize(outcomes: readonly Outcome[]): Map<string, OperatorSummary> {
  const out = new Map<string, OperatorSummary>();
  for (const { name, reason } of outcomes) {
    const { passed, total, first } = out.get(name) ?? { passed: 0, total: 0, first: null };
    out.set(name, { passed: passed + (reason === null ? 1 : 0), total: total + 1, first: first ?? reason });
  }
  return out;
}

const passedOf = (outcomes: readonly Outcome[]): number => outcomes.filter((o) => o.reason === null).length;

export function summaryLines(
  device: string,
  operators: readonly Outcome[],
  modules: readonly Outcome[],
  programs: readonly Outcome[],
): string[] {
  const byOperator = [...summarize(operators).values()];
  const complete = byOperator.filter((s) => s.passed === s.total).length;
  return [
    `operators ${device}: ${passedOf(operators)} of ${operators.length} records, ${complete} of ${byOperator.length} operators complete`,
    `modules ${device}: ${passedOf(modules)} of ${modules.length} records`,
    `programs ${device}: ${passedOf(programs)} of ${programs.length}`,
  ];
}

export const notRunLength = (): number => notRun.length;
