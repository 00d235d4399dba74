/**
 * A folder of records: `ops`, `nn` and `scale` as shared/conformance/README.md describes them. A missing file is an empty section.
 *
 * Values stay encoded here; `arguments.ts` makes tensors and numbers of them. Integers that a double cannot hold become `{ big: '...' }`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { formatOf, type HostTensor, numelOf } from './host.ts';

export interface TensorReference {
  readonly t: number;
  readonly rg?: boolean;
}
/** A value as the records encode it. */
export type Encoded =
  | null
  | number
  | string
  | boolean
  | readonly Encoded[]
  | TensorReference
  | { readonly f: string }
  | { readonly c: readonly [string, string] }
  | { readonly big: string }
  | { readonly dtype: string }
  | { readonly device: string }
  | { readonly const: string }
  | { readonly slice: readonly (number | null)[] }
  | { readonly ellipsis: 1 }
  | { readonly tuple: readonly Encoded[] }
  | { readonly dict: Readonly<Record<string, Encoded>> };
export type EncodedOptions = Readonly<Record<string, Encoded>>;

export interface OperatorRecord {
  readonly op: string;
  readonly dtype: string;
  readonly input: Encoded;
  readonly args: readonly Encoded[];
  readonly kwargs: EncodedOptions;
  readonly out: Encoded;
  readonly grad_out?: readonly TensorReference[];
  readonly grads?: readonly (TensorReference | null)[];
  readonly grad_err?: string;
}

export interface ModuleRecord {
  readonly module: string;
  readonly training: boolean;
  readonly ctor: { readonly args: readonly Encoded[]; readonly kwargs: EncodedOptions };
  readonly state: Readonly<Record<string, TensorReference>>;
  readonly args: readonly Encoded[];
  readonly kwargs: EncodedOptions;
  readonly out: Encoded;
  readonly grad_out: readonly TensorReference[];
  readonly param_grads: Readonly<Record<string, TensorReference | null>>;
  readonly input_grads: readonly (TensorReference | null)[];
  readonly state_after: Readonly<Record<string, TensorReference>>;
}
export interface OptimRecord {
  readonly optim: string;
  readonly kwargs: Encoded;
  readonly w0: TensorReference;
  readonly b0: TensorReference;
  readonly X: TensorReference;
  readonly Y: TensorReference;
  readonly traj: readonly { readonly loss: { readonly f: string }; readonly w: TensorReference; readonly b: TensorReference }[];
}
export interface SchedulerRecord {
  readonly scheduler: string;
  readonly kwargs: Encoded;
  readonly base_lr: number;
  readonly trace: readonly (readonly [string, string])[];
}
export interface DistributionRecord {
  readonly dist: string;
  readonly args: readonly Encoded[];
  readonly value: Encoded;
  readonly [moment: string]: Encoded;
}
export interface DivergenceRecord {
  readonly kl: readonly [string, string];
  readonly p: readonly Encoded[];
  readonly q: readonly Encoded[];
  readonly value: Encoded;
}
export interface GeneratorRecord {
  readonly rng: string;
  readonly seed: number;
  readonly first: TensorReference;
  readonly second: TensorReference;
}
export type NetworkRecord = ModuleRecord | OptimRecord | SchedulerRecord | DistributionRecord | DivergenceRecord | GeneratorRecord;

export interface ProgramInput {
  readonly kind: 'real' | 'int' | 'bool';
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly scale?: number;
  readonly lo?: number;
  readonly hi?: number;
  readonly seed: number;
  readonly rg?: boolean;
}
export interface ExpectedTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly picks: readonly (readonly [number, number | string])[];
  readonly sum: number | string;
  readonly abs_sum?: number;
  readonly err?: number;
}
export interface ProgramRecord {
  readonly id: string;
  readonly inputs: Readonly<Record<string, ProgramInput>>;
  readonly steps: readonly (readonly [string | readonly string[], string, readonly Encoded[], EncodedOptions])[];
  readonly outputs: readonly string[];
  readonly expect: readonly ExpectedTensor[];
  readonly grads: Readonly<Record<string, ExpectedTensor | null>>;
}

export interface Archive<R> {
  readonly samples: readonly R[];
  readonly tensor: (index: number) => HostTensor;
}
export interface Records {
  readonly operators: Archive<OperatorRecord>;
  readonly network: Archive<NetworkRecord>;
  readonly programs: readonly ProgramRecord[];
  /** `torch-api.json`: public names by namespace and aten schemas. */
  readonly api: Readonly<Record<string, unknown>>;
}

/** Reads a folder. The whole of it is some 40 MB. */
export function loadRecords(folder: string): Records {
  const api = join(folder, 'torch-api.json');
  const programs = readJson(join(folder, 'scale.json.gz')) as { programs: ProgramRecord[] } | null;
  return {
    operators: readArchive<OperatorRecord>(folder, 'ops'),
    network: readArchive<NetworkRecord>(folder, 'nn'),
    programs: programs?.programs ?? [],
    api: existsSync(api) ? (JSON.parse(readFileSync(api, 'utf8')) as Record<string, unknown>) : {},
  };
}

function readJson(path: string): unknown {
  if (!existsSync(path)) return null;
  return parseExactly(gunzipSync(readFileSync(path)).toString('utf8'));
}

/** Whole numbers of sixteen digits and more become `{ big }`: nothing else in the records is written so. */
export function parseExactly(text: string): unknown {
  return JSON.parse(
    text.replace(/([[:,] ?)(-?\d{16,})(?=[,\]}])/g, (whole, before: string, digits: string) => {
      return Number.isSafeInteger(Number(digits)) ? whole : `${before}{"big":"${digits}"}`;
    }),
  );
}

function readArchive<R>(folder: string, name: string): Archive<R> {
  const parsed = readJson(join(folder, `${name}.json.gz`)) as {
    tensors: [string, number[], number][];
    samples: R[];
  } | null;
  if (parsed === null)
    return {
      samples: [],
      tensor: () => {
        throw new Error(`internal: ${name} is empty`);
      },
    };
  const bytes = gunzipSync(readFileSync(join(folder, `${name}.bin.gz`)));
  const tensor = (index: number): HostTensor => {
    const [dtype, shape, offset] = parsed.tensors[index];
    // Offsets are not aligned: a copy.
    return { dtype, shape, bytes: Uint8Array.from(bytes.subarray(offset, offset + numelOf(shape) * formatOf(dtype).itemsize)) };
  };
  return { samples: parsed.samples, tensor };
}

export const isReference = (x: unknown): x is TensorReference => typeof x === 'object' && x !== null && 't' in x;

/** Tensor references of an encoded value, in order of appearance. */
export function referencesOf(x: Encoded): TensorReference[] {
  if (typeof x !== 'object' || x === null) return [];
  if (isReference(x)) return [x];
  if (Array.isArray(x)) return x.flatMap(referencesOf);
  if ('tuple' in x) return x.tuple.flatMap(referencesOf);
  if ('dict' in x) return Object.values(x.dict).flatMap(referencesOf);
  return [];
}

/** Whether a folder has any of the three sections. */
export const hasRecords = (folder: string): boolean => ['ops', 'nn', 'scale'].some((n) => existsSync(join(folder, `${n}.json.gz`)));
