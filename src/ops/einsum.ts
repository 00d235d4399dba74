/**
 * `torch.einsum`: https://docs.pytorch.org/docs/stable/generated/torch.einsum.html
 *
 * The equation is read once, with PyTorch's checks. One node computes the whole of it, operands from left to right: repeated subscripts are
 * diagonals, subscripts that nothing later needs are summed, and each pair is one batched product (or an element-wise one, where nothing is summed).
 */
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { type Prim, rowMajor } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { lowered } from './autocast.ts';
import { declare, overload } from './declare.ts';
import { checkSameDtype } from './matmul.ts';

/** Subscripts are numbers: letters 0..51 (A-Z, a-z), then the dims of the ellipsis. */
interface Equation {
  readonly operands: readonly (readonly number[])[];
  readonly output: readonly number[];
}
type Subscripts = readonly (number | '...')[];

const firstEllipsis = 52;
const letterOf = (code: number): number => (code >= 97 ? code - 97 + 26 : code - 65);
const nameOf = (subscript: number): string => String.fromCharCode(subscript < 26 ? 65 + subscript : 97 + subscript - 26);

/** One side of an equation as lists of subscripts. */
function parseTerm(text: string, offset: number, where: string): { list: (number | '...')[]; consumed: number } {
  const list: (number | '...')[] = [];
  let i = 0;
  for (; i < text.length; i++) {
    const c = text[i];
    if (c === ' ') continue;
    if (c === '.') {
      if (list.includes('...')) throw new Error(`einsum(): found '.' for ${where} for which an ellipsis was already found`);
      if (text.slice(i, i + 3) !== '...')
        throw new Error(`einsum(): found '.' for ${where} that is not part of any ellipsis${where === 'output' ? ' (...)' : ''}`);
      list.push('...');
      i += 2;
    } else if (/[a-zA-Z]/.test(c)) list.push(letterOf(c.charCodeAt(0)));
    else throw new Error(`einsum(): invalid subscript given at index ${offset + i} in the equation string, subscripts must be in [a-zA-Z]`);
  }
  return { list, consumed: i };
}

function parseEquation(equation: string): { operands: Subscripts[]; output: Subscripts | null } {
  const arrow = equation.indexOf('->');
  const left = arrow < 0 ? equation : equation.slice(0, arrow);
  const operands: Subscripts[] = [];
  let offset = 0;
  left.split(',').forEach((term, i) => {
    operands.push(parseTerm(term, offset, `operand ${i}`).list);
    offset += term.length + 1;
  });
  return { operands, output: arrow < 0 ? null : parseTerm(equation.slice(arrow + 2), arrow + 2, 'output').list };
}

/** Subscripts of every dim, sizes checked against each other. */
function resolve(terms: readonly Subscripts[], output: Subscripts | null, tensors: readonly Tensor[]): Equation {
  if (tensors.length === 0) throw new Error('einsum(): must provide at least one operand');
  if (terms.length > tensors.length) throw new Error('einsum(): fewer operands were provided than specified in the equation');
  if (terms.length < tensors.length) throw new Error('einsum(): more operands were provided than specified in the equation');
  let ellipsis = 0;
  terms.forEach((term, i) => {
    const { ndim } = tensors[i];
    const named = term.filter((s) => s !== '...').length;
    if (!term.includes('...')) {
      if (named !== ndim)
        throw new Error(
          `einsum(): the number of subscripts in the equation (${named}) does not match the number of dimensions (${ndim}) for operand ${i} and no ellipsis was given`,
        );
    } else {
      if (named > ndim)
        throw new Error(
          `einsum(): the number of subscripts in the equation (${named}) is more than the number of dimensions (${ndim}) for operand ${i}`,
        );
      ellipsis = Math.max(ellipsis, ndim - named);
    }
  });
  const counts = new Map<number, number>();
  for (const s of terms.flat()) if (s !== '...') counts.set(s, (counts.get(s) ?? 0) + 1);
  const rest = Array.from({ length: ellipsis }, (_, i) => firstEllipsis + i);
  const operands = terms.map((term, i) => {
    const covered = tensors[i].ndim - term.filter((s) => s !== '...').length;
    return term.flatMap((s) => (s === '...' ? rest.slice(ellipsis - covered) : [s]));
  });
  const sizes = new Map<number, number>();
  operands.forEach((list, i) => {
    const own = new Map<number, number>();
    list.forEach((s, d) => {
      const size = tensors[i].view_.shape[d];
      const before = own.get(s);
      if (before !== undefined && before !== size)
        throw new Error(`einsum(): subscript ${nameOf(s)} is repeated for operand ${i} but the sizes don't match, ${size} != ${before}`);
      own.set(s, size);
      const seen = sizes.get(s) ?? 1;
      if (seen !== size && seen !== 1 && size !== 1)
        throw new Error(
          s >= firstEllipsis
            ? `einsum(): dimension ${s - firstEllipsis} covered by ellipsis in operand ${i}has size ${size} which does not broadcast with previously seen ellipsis with size ${seen} for the respective dimension`
            : `einsum(): subscript ${nameOf(s)} has size ${size} for operand ${i} which does not broadcast with previously seen size ${seen}`,
        );
      if (seen === 1) sizes.set(s, size);
    });
  });
  // Without an output: the ellipsis, then letters that occur once, in alphabetical order.
  if (output === null)
    return { operands, output: [...rest, ...[...counts.keys()].filter((s) => counts.get(s) === 1).sort((a, b) => a - b)] };
  const seen = new Set<number>();
  for (const s of output) {
    if (s === '...') continue;
    if (seen.has(s)) throw new Error(`einsum(): output subscript ${nameOf(s)} appears more than once in the output`);
    if (!counts.has(s)) throw new Error(`einsum(): output subscript ${nameOf(s)} does not appear in the equation for any input operand`);
    seen.add(s);
  }
  return { operands, output: output.flatMap((s) => (s === '...' ? rest : [s])) };
}

/** A value whose dims are subscripts, each once. */
interface Term {
  readonly prim: Prim;
  readonly dims: readonly number[];
}

/** Repeated subscripts become diagonals. */
function distinct(prim: Prim, dims: readonly number[]): Term {
  const unique = [...new Set(dims)];
  if (unique.length === dims.length) return { prim, dims };
  const strides = rowMajor(prim.shape);
  return {
    dims: unique,
    prim: prim.view(
      unique.map((s) => prim.shape[dims.indexOf(s)]),
      unique.map((s) => dims.reduce<(typeof strides)[number]>((sum, d, i) => (d === s ? dimsOf.add(sum, strides[i]) : sum), 0)),
      0,
    ),
  };
}
const summed = ({ prim, dims }: Term, keep: ReadonlySet<number>): Term => {
  const axes = [...dims.keys()].filter((i) => !keep.has(dims[i]));
  return axes.length === 0 ? { prim, dims } : { prim: prim.sum(axes), dims: dims.filter((s) => keep.has(s)) };
};
const arranged = ({ prim, dims }: Term, order: readonly number[]): Prim => prim.permute(order.map((s) => dims.indexOf(s)));

/** One batched product; `keep`: what the output or a later operand needs. */
function contract(a: Term, b: Term, keep: ReadonlySet<number>): Term {
  const left = summed(a, new Set([...keep, ...b.dims]));
  const right = summed(b, new Set([...keep, ...a.dims]));
  const shared = left.dims.filter((s) => right.dims.includes(s));
  const sizes = new Map([...right.dims.map((s, i) => [s, right.prim.shape[i]] as const)]);
  left.dims.forEach((s, i) => {
    if (!sizes.has(s) || left.prim.shape[i] !== 1) sizes.set(s, left.prim.shape[i]);
  });
  const size = (s: number): Prim['shape'][number] => sizes.get(s)!;
  const over = shared.filter((s) => !keep.has(s));
  const batch = shared.filter((s) => keep.has(s));
  const rows = left.dims.filter((s) => !shared.includes(s));
  const columns = right.dims.filter((s) => !shared.includes(s));
  const total = (list: readonly number[]): Prim['shape'][number] => dimsOf.productOf(list.map(size));
  const expanded = (t: Term, order: readonly number[]): Prim => arranged(t, order).expand(order.map(size));
  if (over.length === 0) {
    const dims = [...batch, ...rows, ...columns];
    const x = arranged(left, [...batch, ...rows]);
    const y = arranged(right, [...batch, ...columns]);
    const shape = [...y.shape.slice(0, batch.length), ...rows.map(() => 1), ...y.shape.slice(batch.length)];
    return { prim: x.reshape([...x.shape, ...columns.map(() => 1)]).mul(y.reshape(shape)), dims };
  }
  const x = expanded(left, [...batch, ...rows, ...over]).reshape([...batch.map(size), total(rows), total(over)]);
  const y = expanded(right, [...batch, ...over, ...columns]).reshape([...batch.map(size), total(over), total(columns)]);
  const dims = [...batch, ...rows, ...columns];
  return { prim: x.dot(y).reshape(dims.map(size)), dims };
}

const einsumOperator: Operator<Equation> = {
  name: 'einsum',
  body: (inputs, { constants: { operands, output } }) => {
    const dtype = inputs[0].dtype;
    const wide = computationDtype(dtype);
    let term = distinct(inputs[0].cast(wide), operands[0]);
    for (let i = 1; i < inputs.length; i++) {
      const keep = new Set([...output, ...operands.slice(i + 1).flat()]);
      term = contract(term, distinct(inputs[i].cast(wide), operands[i]), keep);
    }
    const result = summed(term, new Set(output));
    // The ellipsis of an output may cover dims that no operand has.
    return [arranged(result, output).cast(dtype)];
  },
};

function einsumOf(terms: readonly Subscripts[], output: Subscripts | null, tensors: readonly Tensor[]): Tensor {
  const equation = resolve(terms, output, tensors);
  const operands = contracts(equation, tensors) ? tensors.map(lowered) : tensors;
  for (const t of operands.slice(1)) checkSameDtype(operands[0], t);
  const key = `einsum:${equation.operands.join(';')}>${equation.output}`;
  return record(einsumOperator as never, operands, { constants: constantsOf(key, () => equation) })[0];
}

/** Whether a dim is summed that two operands have: that is a product of matrices. */
function contracts({ operands, output }: Equation, tensors: readonly Tensor[]): boolean {
  const seen = new Set<number>();
  for (let i = 0; i < operands.length; i++) {
    const own = new Set(operands[i].filter((s, d) => !output.includes(s) && tensors[i].view_.shape[d] !== 1));
    for (const s of own) if (seen.has(s)) return true;
    for (const s of own) seen.add(s);
  }
  return false;
}

function einsumText(equation: string, tensors: readonly Tensor[]): Tensor {
  const { operands, output } = parseEquation(equation);
  return einsumOf(operands, output, tensors);
}

function checked(list: Subscripts): Subscripts {
  for (const s of list)
    if (s !== '...' && (s < 0 || s >= firstEllipsis))
      throw new RangeError('einsum(): subscript in subscript list is not within the valid range [0, 52)');
  return list;
}
const sublists = (tensors: readonly Tensor[], lists: readonly Subscripts[], output: Subscripts | null): Tensor =>
  einsumOf(lists.map(checked), output === null ? null : checked(output), tensors);

export const einsums = {
  einsum: declare(
    {
      doc: 'Products and sums that an equation describes; or operands, each with its list of subscripts (numbers and "..."). https://docs.pytorch.org/docs/stable/generated/torch.einsum.html',
      as: 'function',
    },
    overload('einsum(str equation, Tensor[] tensors, *, int[]? path=None) -> Tensor', (equation, tensors, _path) =>
      einsumText(equation, tensors),
    ),
    overload('einsum.sublist(Tensor a, Subscripts a_dims, Subscripts? out_dims=None) -> Tensor', (a, x, out) => sublists([a], [x], out)),
    overload(
      'einsum.sublist2(Tensor a, Subscripts a_dims, Tensor b, Subscripts b_dims, Subscripts? out_dims=None) -> Tensor',
      (a, x, b, y, out) => sublists([a, b], [x, y], out),
    ),
    overload(
      'einsum.sublist3(Tensor a, Subscripts a_dims, Tensor b, Subscripts b_dims, Tensor c, Subscripts c_dims, Subscripts? out_dims=None) -> Tensor',
      (a, x, b, y, c, z, out) => sublists([a, b, c], [x, y, z], out),
    ),
  ),
};
