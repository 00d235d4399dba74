/**
 * Calls that are not `torch.NAME(input, ...args, kwargs)`: one table, from the data's README. Everything else is found by its name
 * (`findCall`): the function of the namespace, or the method where there is no function.
 */
import { type AnyTensor, type Callable, hasProperty, lookupFunction, methodOf, NotThere, need, needMethod } from './api.ts';
import { type AtenSchemas, type Call, type Decoder, invoke, leavesOf } from './arguments.ts';
import type { OperatorRecord } from './data.ts';

/** Names of a record's operator. */
export interface OperatorName {
  /** Path below `torch`, no variant: `linalg.svd`. */
  readonly path: string;
  readonly namespace: string;
  readonly base: string;
}

const namespaces = ['nn.functional', 'linalg', 'fft', 'special', 'masked', 'signal.windows', 'ops.aten'] as const;

export function nameOf(op: string): OperatorName {
  const bare = op.replace(/^torch\./, '');
  const namespace = namespaces.find((n) => bare.startsWith(`${n}.`)) ?? '';
  const base = (namespace === '' ? bare : bare.slice(namespace.length + 1)).split('.')[0];
  return { path: namespace === '' ? base : `${namespace}.${base}`, namespace, base };
}

/** Decoded arguments of a record. */
export interface Arguments {
  readonly record: OperatorRecord;
  readonly input: unknown;
  readonly args: unknown[];
  readonly kwargs: Record<string, unknown>;
  readonly decoder: Decoder;
}

/** How a record is called: a plain call (that other forms can be made of), or something that only a body can do. */
export type Plan =
  | { readonly kind: 'call'; readonly call: Call; readonly inputFirst: boolean }
  | { readonly kind: 'body'; readonly run: () => unknown };

type Special = (a: Arguments, schemas: AtenSchemas) => Plan;

const call = (path: string, args: readonly unknown[], kwargs: Record<string, unknown>): Plan => ({
  kind: 'call',
  call: { f: need(path), name: path.slice(path.lastIndexOf('.') + 1), args, kwargs },
  inputFirst: false,
});
const body = (run: () => unknown): Plan => ({ kind: 'body', run });

/** The result of a method that draws or writes in place, on a clone. */
const onClone =
  (method: string): Special =>
  ({ input, args, kwargs }, schemas) =>
    body(() => invoke({ f: needMethod(method), name: method, self: (input as AnyTensor).clone(), args, kwargs }, schemas));
/** `number OP tensor` or `tensor OP tensor` with the operands exchanged. */
const reflected =
  (path: string): Special =>
  ({ input, args, kwargs }) =>
    call(path, [args[0], input], kwargs);
const property =
  (name: string): Special =>
  ({ input }) =>
    body(() => {
      if (!hasProperty(name)) throw new NotThere(`Tensor.${name}`);
      return (input as unknown as Record<string, unknown>)[name];
    });
const secondFirst =
  (path: string): Special =>
  ({ input, args: [first, ...rest], kwargs }) =>
    call(path, [first, input, ...rest], kwargs);
const timesTransposed =
  (path: string): Special =>
  ({ input, args: [other, ...rest], kwargs }) => {
    const transposed = (other as AnyTensor).transpose(-2, -1);
    return call(path, [need('matmul')(input, transposed), ...rest], kwargs);
  };

const specials: Readonly<Record<string, Special>> = {
  einsum: ({ input, args, kwargs }) => call('einsum', [args[0], input], kwargs),
  where: ({ input, args, kwargs }) => call('where', [args[0], input, args[1]], kwargs),
  polygamma: secondFirst('polygamma'),
  'special.polygamma': secondFirst('special.polygamma'),
  'nn.functional.embedding': secondFirst('nn.functional.embedding'),
  'nn.functional.embedding_bag': secondFirst('nn.functional.embedding_bag'),
  'normal.number_mean': ({ input, args, kwargs }) => call('normal', [args[0], input, ...args.slice(1)], kwargs),
  svd_lowrank: timesTransposed('svd_lowrank'),
  pca_lowrank: timesTransposed('pca_lowrank'),
  'linalg.pinv.singular': timesTransposed('linalg.pinv'),
  'linalg.lstsq.grad_oriented': ({ input, args, kwargs }, schemas) =>
    body(() => leavesOf(invoke({ f: need('linalg.lstsq'), name: 'linalg_lstsq', args: [input, ...args], kwargs }, schemas)).slice(0, 2)),
  T: property('T'),
  H: property('H'),
  mT: property('mT'),
  mH: property('mH'),
  cauchy: onClone('cauchy_'),
  exponential: onClone('exponential_'),
  geometric: onClone('geometric_'),
  log_normal: onClone('log_normal_'),
  uniform: onClone('uniform_'),
  'normal.in_place': onClone('normal_'),
  zero_: onClone('zero_'),
  resize_: onClone('resize_'),
  resize_as_: onClone('resize_as_'),
  slice: aten('slice'),
  _batch_norm_with_update: aten('_batch_norm_with_update'),
  _upsample_bilinear2d_aa: aten('_upsample_bilinear2d_aa'),
  native_dropout_backward: aten('native_dropout_backward'),
  max_pool2d_with_indices_backward: ({ input, kwargs }) =>
    body(() => {
      const x = input as AnyTensor;
      const [out, indices] = leavesOf(need('nn.functional.max_pool2d')(x, { ...kwargs, return_indices: true }));
      const { kernel_size, stride, padding, dilation, ceil_mode } = kwargs;
      const ones = need('ones_like')(out);
      return need('ops.aten.max_pool2d_with_indices_backward')(
        ones,
        x,
        pair(kernel_size),
        pair(stride ?? kernel_size),
        pair(padding ?? 0),
        pair(dilation ?? 1),
        ceil_mode ?? false,
        indices,
      );
    }),
  rand_like: ({ input, args, kwargs }) => call('randn_like', [input, ...args], kwargs),
  __getitem__: ({ record, decoder, input }) => body(() => needMethod('at').call(input, ...decoder.indexParts(record.args[0]))),
  __radd__: reflected('add'),
  __rmul__: reflected('mul'),
  __rmatmul__: reflected('matmul'),
  __rdiv__: reflected('div'),
  __rmod__: reflected('remainder'),
  __rpow__: reflected('pow'),
  __rsub__: ({ input, args, kwargs }) => call('rsub', [input, ...args], kwargs),
  __rand__: reflected('bitwise_and'),
  __ror__: reflected('bitwise_or'),
  __rxor__: reflected('bitwise_xor'),
};

function aten(name: string): Special {
  return ({ input, args, kwargs }) => call(`ops.aten.${name}`, [input, ...args], kwargs);
}
const pair = (x: unknown): unknown => (typeof x === 'number' ? [x, x] : x);

/** How this record is called. */
export function findCall(a: Arguments, schemas: AtenSchemas): Plan {
  const { op } = a.record;
  const { path, namespace, base } = nameOf(op);
  const special = specials[op] ?? specials[path];
  if (special !== undefined) return special(a, schemas);
  if (op === 'to') for (let i = 0; i < a.args.length; i++) if (a.args[i] === 'cpu') a.args[i] = a.decoder.options.device;
  const args = [a.input, ...a.args];
  const f = publicFunction(path, base, namespace);
  const schemaName = namespace === 'linalg' || namespace === 'fft' || namespace === 'special' ? `${namespace}_${base}` : base;
  if (f !== undefined) return { kind: 'call', call: { f, name: schemaName, args, kwargs: a.kwargs }, inputFirst: true };
  const method = namespace === '' ? methodOf(base) : undefined;
  if (method !== undefined)
    return { kind: 'call', call: { f: method, name: base, self: a.input, args: a.args, kwargs: a.kwargs }, inputFirst: false };
  throw new NotThere(path);
}

/** `_chunk_cat` and its like are private names of `torch`; aten has them too, and `segment_reduce` is public without the underscore. */
function publicFunction(path: string, base: string, namespace: string): Callable | undefined {
  const f = lookupFunction(path);
  if (f !== undefined || namespace !== '') return f;
  return lookupFunction(`ops.aten.${base}`) ?? (base.startsWith('_') ? lookupFunction(base.slice(1)) : undefined);
}
