/**
 * Recording: an operator call becomes one node, its result tensors, and (if a gradient may be wanted) one edge of the tape.
 *
 * What does not change from step to step is looked up: the signature, by operator, input views, constants and dims. Only a new signature traces
 * the operator's body (which is also its shape rule, so a shape error is thrown here and records nothing).
 */

import { modes } from '../autograd/modes.ts';
import { savesResult } from '../autograd/saved-results.ts';
import { Edge, type EdgeTarget, type SavedValue, Tape } from '../autograd/tape.ts';
import { DType } from '../dtype/dtype.ts';
import { Node, type Signature, Value } from '../graph/node.ts';
import { formalParams, formals, type Operator, traceCall } from '../graph/operator.ts';
import * as dims from '../shape/dim.ts';
import { elementwiseStrides, makeView, type View } from '../shape/view.ts';
import { lesson } from '../util/lesson.ts';
import { Trie } from '../util/trie.ts';
import { engineOf } from './devices.ts';
import { noteCall } from './learn.ts';
import { refuseOverlap } from './overlap.ts';
import { currentPlace, currentScope, noteResult, writeTarget } from './scope.ts';
import { Storage, Tensor } from './tensor.ts';
import { sink } from './tracing.ts';

/** Constants of a call, interned by the caller: equal constants are the same object. */
export interface Constants {
  readonly id: number;
  readonly value: unknown;
}
let nextConstants = 1;
const internedConstants = new Map<string, Constants>();
export const noConstants: Constants = { id: 0, value: null };

/** The one `Constants` for this key. */
export function constantsOf<T>(key: string, value: () => T): Constants {
  let found = internedConstants.get(key);
  if (found === undefined) {
    found = { id: nextConstants++, value: value() };
    internedConstants.set(key, found);
  }
  return found;
}

type PlainArgument = string | number | boolean | null | DType;
/**
 * Constants that follow from a few plain arguments. Those of the last calls are recognized without making a text of them, which would cost
 * more than all the rest of recording a call.
 */
export function constantsBy<A extends readonly PlainArgument[], T>(name: string, make: (...args: A) => T): (...args: A) => Constants {
  const recent: { readonly args: A; readonly constants: Constants }[] = [];
  return (...args) => {
    for (let i = 0; i < recent.length; i++) if (sameItems(recent[i].args, args)) return recent[i].constants;
    const key = `${name}:${args.map((a) => (a instanceof DType ? a.name : `${typeof a}${a}`)).join(':')}`;
    const constants = constantsOf(key, () => make(...args));
    recent.unshift({ args, constants });
    if (recent.length > mostRecent) recent.pop();
    return constants;
  };
}
function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return a.length === b.length;
}

const none: readonly never[] = [];
const zeros: number[][] = [];
/** Offsets of inputs that all start at their memory's begin, by their number: most calls share these. */
export function noOffsets(n: number): readonly number[] {
  zeros[n] ??= new Array<number>(n).fill(0);
  return zeros[n];
}
/** Signatures by the numbers that make them up: constants, needs, device, counts, views of the inputs, dims. */
const signatures = new WeakMap<Operator, { all: Trie<Signature>; count: number; readonly recent: Signature[] }>();
/** Of an operator; beyond that all are forgotten. A decoded token has signatures of its own, which nobody asks for again. */
const mostSignatures = 4096;
/** How many signatures of an operator are tried before it is looked up: a layer has about as many calls of one operator. */
const mostRecent = 4;
const patterns = new Map<string, number>();
let nextSignature = 1;
let operatorIds = 0;
const operatorId = new WeakMap<Operator, number>();

export interface CallOptions {
  readonly constants?: Constants;
  readonly dims?: readonly number[];
  readonly params?: readonly (number | bigint)[];
  /** The tensors that the outputs will replace (in-place writes): their memory may be taken over. */
  readonly donors?: readonly Tensor[];
  /** Results are nobody's handles (backward): they are temporaries unless somebody makes them visible. */
  readonly hidden?: boolean;
  /** Device for calls without inputs. */
  readonly device?: string;
}

/** Records a call and returns its outputs. */
export function record(operator: Operator, inputs: readonly Tensor[], options: CallOptions = {}): Tensor[] {
  if (operator.layout === 'elementwise') refuseOverlap(inputs);
  const recording = modes.grad && !modes.inference;
  let needs = 0;
  // A call with more inputs than bits wants all gradients or none.
  if (recording) for (let i = 0; i < inputs.length; i++) if (inputs[i].tape.edge !== null) needs |= inputs.length > 30 ? -1 : 1 << i;
  const signature = findSignature(operator, inputs, options, needs);
  return submitCall(signature, inputs, options.params ?? none, options.donors ?? null, options.hidden === true);
}

function makeNode(
  signature: Signature,
  inputs: readonly Tensor[],
  params: readonly (number | bigint)[],
  donors: readonly Tensor[] | null,
): Node {
  const n = inputs.length;
  if (sink !== null && collected === null) sink.inputs(inputs);
  const srcs = new Array<Value>(n);
  for (let i = 0; i < n; i++) srcs[i] = inputs[i].storage.value;
  const node = new Node(signature, srcs, offsetsOf(inputs), params, donorsOf(donors), currentPlace());
  const { outs: views, device } = signature;
  const { outs } = node;
  for (let i = 0; i < views.length; i++) outs[i] = new Value(node, i, views[i].dtype, views[i].numel, device);
  return node;
}

/** A call without gradients that is not submitted yet, and whose results no tensor holds yet. */
export const prepareCall = (operator: Operator, inputs: readonly Tensor[], options: CallOptions): Node =>
  makeNode(findSignature(operator, inputs, options, 0), inputs, options.params ?? none, options.donors ?? null);

/** Records a call whose signature is known. */
export function submitCall(
  signature: Signature,
  inputs: readonly Tensor[],
  params: readonly (number | bigint)[],
  donors: readonly Tensor[] | null,
  hidden: boolean,
): Tensor[] {
  const node = makeNode(signature, inputs, params, donors);
  const { outs: views, visible } = signature;
  const { outs } = node;
  const inModule = currentScope() !== null;
  const unseen = hidden || writeTarget() !== null;
  const { tracked, watched, mask } = signature.edge;
  const edge = mask !== 0 && signature.wrt.length > 0 ? makeEdge(signature, node, inputs, params) : null;
  const outputs = new Array<Tensor>(visible);
  for (let i = 0; i < visible; i++) {
    const view = views[i];
    const tape = edge !== null && tracked[i] ? new Tape(edge, i, view) : new Tape(null, 0, null);
    const out = new Tensor(new Storage(outs[i]), view, 0, tape);
    if (unseen) outs[i].visible = false;
    else if (inModule) noteResult(out);
    outputs[i] = out;
  }
  if (edge !== null && watched) watchResults(edge, signature, outputs);
  if (lesson.open !== null) noteCall(signature, inputs, params, outputs, donors === null, hidden);
  if (collected !== null) collected.push(node);
  else engineOf(signature.device).submit(node);
  return outputs;
}

let collected: Node[] | null = null;
/** Runs `work`, whose calls are not to be computed: they are returned, for a sequence to be made of them. */
export function collectCalls(work: () => void): Node[] {
  const before = collected;
  const calls: Node[] = [];
  collected = calls;
  try {
    work();
  } finally {
    collected = before;
  }
  return calls;
}

/** Records a sequence of calls as one; its results are nobody's handles. */
export function recordSequence(
  signature: Signature,
  srcs: readonly Value[],
  offsets: readonly number[],
  paramLists: readonly (readonly (number | bigint)[])[],
): readonly Value[] {
  const node = new Node(signature, srcs, offsets, none, null, '');
  node.paramLists = paramLists;
  const { outs: views, device } = signature;
  for (let i = 0; i < views.length; i++) node.outs[i] = new Value(node, i, views[i].dtype, views[i].numel, device);
  engineOf(device).submit(node);
  return node.outs;
}
const sequencePatterns = new Map<string, number>();
/** Numbers for a sequence's signature; the same pattern for those of one structure. */
export function numberSequence(structure: string): { readonly id: number; readonly pattern: number } {
  let pattern = sequencePatterns.get(structure);
  if (pattern === undefined) {
    // Below all numbers of single calls.
    pattern = -1 - sequencePatterns.size;
    sequencePatterns.set(structure, pattern);
  }
  return { id: nextSignature++, pattern };
}

function offsetsOf(inputs: readonly Tensor[]): readonly number[] {
  const n = inputs.length;
  for (let i = 0; i < n; i++) if (inputs[i].offset !== 0) return inputs.map((t) => t.offset);
  return noOffsets(n);
}

/** From now on a write into a result that PyTorch saves is an error in backward. */
function watchResults(edge: Edge, signature: Signature, outputs: readonly Tensor[]): void {
  const { kept } = signature.edge;
  for (let i = 0; i < kept.length; i++) {
    const s = kept[i];
    if (s.from !== 'output' || s.index >= outputs.length) continue;
    const saved = edge.saved![i];
    saved.version = outputs[s.index].version;
    saved.tape = new Tape(edge, s.index, null);
  }
}

function donorsOf(given: readonly Tensor[] | null): readonly Value[] | null {
  if (given !== null) return given.map((t) => t.storage.value);
  const target = writeTarget();
  return target === null ? null : [target.storage.value];
}

/** Where the gradient of this tensor goes now. */
export function targetOf(t: Tensor): EdgeTarget | null {
  const { edge, output, base } = t.tape;
  if (edge === null) return null;
  // A leaf is the same target at each step.
  if (edge.leaf === null || t.view_ !== base || t.offset !== 0) return { edge, output, base: base!, view: t.view_, offset: t.offset };
  edge.own ??= { edge, output, base, view: base, offset: 0 };
  return edge.own;
}

function makeEdge(signature: Signature, node: Node, inputs: readonly Tensor[], params: readonly (number | bigint)[]): Edge {
  const { name, takes, kept } = signature.edge;
  const targets = new Array<EdgeTarget | null>(inputs.length);
  for (let i = 0; i < inputs.length; i++) targets[i] = takes[i] ? targetOf(inputs[i]) : null;
  const saved = new Array<SavedValue>(kept.length);
  for (let i = 0; i < kept.length; i++) {
    const s = kept[i];
    if (s.from === 'input') {
      const t = inputs[s.index];
      if (t.inference)
        throw new Error(
          'Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal tensor and use it in autograd.',
        );
      // An in-place call saves what its own tensor was before it: PyTorch keeps a copy.
      const version = s.extra || (s.index === 0 && t === writeTarget()) ? null : t.version;
      saved[i] = { value: t.storage.value, view: t.view_, offset: t.offset, version, count: t.version.count, tape: t.tape };
    } else {
      const at = s.from === 'output' ? s.index : signature.visible + s.index;
      saved[i] = { value: node.outs[at], view: signature.outs[at], offset: 0, version: null, count: 0, tape: null };
    }
  }
  for (let i = 0; i < saved.length; i++) saved[i].value.savedBy++;
  return new Edge(name, signature.outs, signature, targets, params, saved);
}

/** `log_softmax` -> `LogSoftmaxBackward0`, as PyTorch names its autograd nodes. */
export const backwardName = (operator: string): string => ownNames[operator] ?? classOf(operator);
const ownNames: Readonly<Record<string, string>> = { copy: 'CopyBackwards', copy_slices: 'CopySlices' };
const classOf = (operator: string): string =>
  `${operator
    .split(/[._]/)
    .filter((w) => w !== '')
    .map((w) => w[0].toUpperCase() + w.slice(1))
    .join('')}Backward0`;

// ---- signatures

const deviceNumbers = new Map<string, number>();
function deviceNumber(device: string | undefined): number {
  if (device === undefined) return 0;
  let number = deviceNumbers.get(device);
  if (number === undefined) {
    number = deviceNumbers.size + 1;
    deviceNumbers.set(device, number);
  }
  return number;
}

function findSignature(operator: Operator, inputs: readonly Tensor[], options: CallOptions, needs: number): Signature {
  let known = signatures.get(operator);
  if (known === undefined) {
    known = { all: new Trie(), count: 0, recent: [] };
    signatures.set(operator, known);
  }
  const constants = options.constants ?? noConstants;
  const callDims = options.dims ?? none;
  const { recent } = known;
  if (inputs.length > 0) for (let i = 0; i < recent.length; i++) if (fits(recent[i], inputs, constants, callDims, needs)) return recent[i];
  let level = known.all.at(constants.id).at(needs);
  if (inputs.length === 0) level = level.at(-deviceNumber(options.device));
  else if (inputs.length > 1 || callDims.length > 0) level = level.at(inputs.length);
  for (let i = 0; i < inputs.length; i++) level = level.at(inputs[i].view_.id);
  for (let i = 0; i < callDims.length; i++) level = level.at(callDims[i]);
  let { found } = level;
  if (found === null) {
    found = makeSignature(operator, inputs, constants, callDims, needs, options.device);
    level.found = found;
    if (++known.count > mostSignatures) {
      known.all = new Trie();
      known.count = 0;
    }
  }
  recent.unshift(found);
  if (recent.length > mostRecent) recent.pop();
  return found;
}

/** Whether a call has this signature: a layer's calls are mostly those of the layer before, and comparing is cheaper than looking up. */
function fits(s: Signature, inputs: readonly Tensor[], constants: Constants, callDims: readonly number[], needs: number): boolean {
  if (s.edge.mask !== needs || s.constants !== constants.value || s.inputs.length !== inputs.length || s.dims.length !== callDims.length)
    return false;
  for (let i = 0; i < inputs.length; i++) if (s.inputs[i] !== inputs[i].view_) return false;
  for (let i = 0; i < callDims.length; i++) if (s.dims[i] !== callDims[i]) return false;
  return true;
}

function makeSignature(
  operator: Operator,
  inputs: readonly Tensor[],
  constants: Constants,
  callDims: readonly number[],
  needsMask: number,
  device?: string,
): Signature {
  const views = inputs.map((t) => t.view_);
  const on = device ?? views[0].device;
  for (const v of views) if (v.device !== on) throw mixedDevices(on, v.device);
  const needs = needsMask === 0 ? null : views.map((_, i) => needsMask === -1 || (needsMask & (1 << i)) !== 0);
  const params = formalParams(operator.paramTypes?.(constants.value) ?? []);
  const traced = traceCall(operator, formals(views), { constants: constants.value, dims: callDims, params }, needs);
  const sizes = (shape: readonly dims.Dim[]): number[] => shape.map((d) => dims.toNumber(d, 'a size'));
  const outs: View[] = [
    ...traced.outputs.map((p) => {
      const shape = sizes(p.shape);
      return makeView(p.dtype, on, shape, operator.layout === 'elementwise' ? elementwiseStrides(shape, views) : undefined);
    }),
    ...traced.hidden.map((p) => makeView(p.dtype, on, sizes(p.shape))),
  ];
  const numbers: number[] = [];
  const put = (v: View): void => {
    numbers.push(...v.shape, ...v.strides);
  };
  views.forEach(put);
  numbers.push(...callDims);
  outs.forEach(put);
  const long = numbers.find((n) => Math.abs(n) > largestNumber);
  if (long !== undefined)
    throw new RangeError(`${operator.name}: a size, stride or dim of ${long} is beyond 2^31 - 1, the most that one may be here`);
  return {
    id: nextSignature++,
    operator,
    inputs: views,
    constants: constants.value,
    dims: callDims,
    needs,
    device: on,
    outs,
    bytes: outs.reduce((sum, v) => sum + v.numel * v.dtype.itemsize, 0),
    visible: traced.outputs.length,
    saved: traced.saved,
    wrt: traced.wrt,
    edge: {
      name: backwardName(operator.name),
      takes: views.map((_, i) => traced.wrt.includes(i)),
      kept: traced.saved.filter((s) => s.from !== 'grad'),
      tracked: outs.map((v) => v.dtype.is_floating_point || v.dtype.is_complex),
      watched: savesResult.has(operator.name),
      mask: needsMask,
      gradients: new Map(),
    },
    pattern: patternOf(operator, views, constants, callDims.length, needsMask, outs),
    numbers: Int32Array.from(numbers),
    sequence: null,
  };
}

/** Programs know sizes, strides and dims as 32-bit integers; a tensor of several dims may have more elements. */
const largestNumber = 2 ** 31 - 1;

function mixedDevices(a: string, b: string): Error {
  const [first, second] = [a, b].map((d) => (d === 'cuda' ? 'cuda:0' : d));
  return new Error(`Expected all tensors to be on the same device, but found at least two devices, ${first} and ${second}!`);
}

/** Number of all signatures that differ only in sizes: operator, constants, dtypes, ranks, and where sizes are 0 or 1 or strides 0. */
function patternOf(
  operator: Operator,
  views: readonly View[],
  constants: Constants,
  callDims: number,
  needs: number,
  outs: readonly View[],
): number {
  let id = operatorId.get(operator);
  if (id === undefined) {
    id = operatorIds++;
    operatorId.set(operator, id);
  }
  const form = (v: View): string =>
    `${v.dtype.id}:${v.shape.map((d, i) => (d < 2 ? d : v.strides[i] === 0 ? 'b' : v.strides[i] === 1 ? 'u' : 'n')).join('')}`;
  const key = `${id}|${constants.id}|${views.map(form)}|${callDims}|${needs}|${outs.map(form)}`;
  let pattern = patterns.get(key);
  if (pattern === undefined) {
    pattern = patterns.size + 1;
    patterns.set(key, pattern);
  }
  return pattern;
}
