/**
 * Replay: a backward that has been walked before is recorded as one call.
 *
 * Which gradients are computed, from what, in which order, follows from the tape's structure alone. So the first backward over a structure notes
 * its calls as a sequence (`graph/sequence.ts`), and the next ones only check that the tape has that structure again: the same signatures, the
 * same connections and views, the same order in time. What may differ is what the edges saved, and numbers.
 *
 * Only plain backwards: one root, no hooks, no gradient of a gradient, no functions written by users. The rest is walked (`backward.ts`), and so
 * is everything in the flush modes that compute between calls.
 */
import type { SequencedCall, Signature, Value } from '../graph/node.ts';
import { sequenceSignature } from '../graph/sequence.ts';
import type { View } from '../shape/view.ts';
import { noOffsets, numberSequence, recordSequence } from '../tensor/record.ts';
import type { Edge, EdgeTarget } from './tape.ts';

/** An edge as it has to be met again. */
interface PlannedEdge {
  /** Null: a leaf, whose tensor has the layout `leaf`. */
  readonly signature: Signature | null;
  readonly leaf: View | null;
  /** Where it is met first: target `by` of edge `from`; the root has -1. */
  readonly from: number;
  readonly by: number;
  readonly targets: readonly (PlannedTarget | null)[];
}
interface PlannedTarget {
  readonly edge: number;
  readonly output: number;
  readonly view: View;
  readonly offset: number;
}
/** What a call of the sequence reads from outside: what edge `edge` saved at `slot`, or (-1) the gradient that backward starts with. */
interface PlannedInput {
  readonly edge: number;
  readonly slot: number;
  readonly view: View;
}

interface BackwardPlan {
  /** How the root lies in the first edge's results. */
  readonly root: PlannedTarget;
  readonly edges: readonly PlannedEdge[];
  readonly inputs: readonly PlannedInput[];
  /** Edges whose params the calls take, in order. */
  readonly paramEdges: readonly number[];
  readonly signature: Signature;
  /** In the order in which they are reached: the leaf's edge, its gradient among the results, and the layout of that. */
  readonly leaves: readonly { readonly edge: number; readonly result: number; readonly view: View }[];
}

/** A value that a noted call reads or a leaf gets: result `index` of call `call`. */
export interface NotedResult {
  readonly call: number;
  readonly index: number;
}
/** What a walk notes: its calls, and where each input came from. */
export interface NotedCall {
  readonly signature: Signature;
  /** Edge that has the params; -1: none. */
  readonly params: number;
  readonly srcs: readonly (NotedResult | PlannedInput)[];
}
export interface NotedWalk {
  /** Newest first. */
  readonly edges: readonly Edge[];
  readonly calls: readonly NotedCall[];
  readonly leaves: readonly { readonly edge: number; readonly grad: NotedResult }[];
  readonly root: EdgeTarget;
}

/** Plans by the signature of the root's edge. */
const plans = new Map<number, BackwardPlan[]>();
let planCount = 0;
const mostPlans = 256;

/** Makes a plan of a walk and keeps it. */
export function keepPlan(walk: NotedWalk): BackwardPlan {
  const { edges } = walk;
  const places = new Map(edges.map((edge, i) => [edge, i]));
  const met = edges.map(() => ({ from: -1, by: -1 }));
  edges.forEach((edge, from) => {
    edge.targets.forEach((t, by) => {
      if (t === null) return;
      const at = met[places.get(t.edge)!];
      if (at.from < 0) Object.assign(at, { from, by });
    });
  });
  const planned = edges.map((edge, i): PlannedEdge => {
    const targets = edge.targets.map((t) => t && { edge: places.get(t.edge)!, output: t.output, view: t.view, offset: t.offset });
    return { signature: edge.signature, leaf: edge.leaf === null ? null : edge.outputs[0], ...met[i], targets };
  });
  const inputs: PlannedInput[] = [];
  const paramEdges: number[] = [];
  const outs: View[] = [];
  const results = walk.calls.map(({ signature }) => signature.outs.map(() => -1));
  const leaves = walk.leaves.map(({ edge, grad }) => {
    const view = walk.calls[grad.call].signature.outs[grad.index];
    if (results[grad.call][grad.index] < 0) results[grad.call][grad.index] = outs.push(view) - 1;
    return { edge, result: results[grad.call][grad.index], view };
  });
  const calls = walk.calls.map((noted, i): SequencedCall => {
    const srcs = noted.srcs.map((s) => ('call' in s ? { call: s.call, index: s.index } : { call: -1, index: inputs.push(s) - 1 }));
    const params = noted.params < 0 ? -1 : paramEdges.push(noted.params) - 1;
    return { signature: noted.signature, srcs, params, outs: results[i] };
  });
  const structure = calls
    .map((c) => `${c.signature.pattern}(${c.srcs.map((s) => `${s.call}.${s.index}`)})${c.params < 0 ? '' : 'p'}>${c.outs}`)
    .join(';');
  const views = inputs.map((s) => s.view);
  const signature = sequenceSignature('backward', calls, views, outs, numberSequence(structure));
  const { output, view, offset } = walk.root;
  const plan = { root: { edge: 0, output, view, offset }, edges: planned, inputs, paramEdges, signature, leaves };
  if (++planCount > mostPlans) {
    plans.clear();
    planCount = 1;
  }
  const root = edges[0].signature!.id;
  plans.set(root, [plan, ...(plans.get(root) ?? [])]);
  return plan;
}

/** Where backward begins: the gradient of the root. */
export interface Seed {
  readonly value: Value;
  readonly view: View;
  readonly offset: number;
}

/** A plan and the tape's edges that it stands for. */
export interface Match {
  readonly plan: BackwardPlan;
  readonly edges: readonly Edge[];
}

/** The plan whose structure the tape behind `root` has, if one is known. */
export function findPlan(root: EdgeTarget, seed: Seed): Match | null {
  const known = root.edge.signature === null ? undefined : plans.get(root.edge.signature.id);
  if (known === undefined) return null;
  for (let i = 0; i < known.length; i++) {
    const edges = matching(known[i], root, seed);
    if (edges !== null) return { plan: known[i], edges };
  }
  return null;
}

/** Whether an edge may be part of a plan at all. */
export const isPlain = (edge: Edge): boolean =>
  edge.hooks === null && edge.retained === null && edge.custom === null && edge.saved !== null;

function matching(plan: BackwardPlan, root: EdgeTarget, seed: Seed): Edge[] | null {
  if (root.output !== plan.root.output || root.view !== plan.root.view || root.offset !== plan.root.offset) return null;
  const planned = plan.edges;
  const n = planned.length;
  const edges = new Array<Edge>(n);
  let last = Number.POSITIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const { signature, leaf, from, by } = planned[i];
    const edge = from < 0 ? root.edge : edges[from].targets[by]!.edge;
    // Gradients are added up newest first: with another order the sums would be others.
    if (edge.signature !== signature || edge.sequence >= last || !isPlain(edge)) return null;
    if (signature === null && (edge.leaf === null || edge.outputs[0] !== leaf)) return null;
    last = edge.sequence;
    edges[i] = edge;
    // The edges behind this one are looked up by its targets.
    const { targets } = planned[i];
    for (let k = 0; k < targets.length; k++) if ((targets[k] === null) !== (edge.targets[k] === null)) return null;
  }
  for (let i = 0; i < n; i++) {
    const { targets } = planned[i];
    const actual = edges[i].targets;
    for (let k = 0; k < targets.length; k++) {
      const t = targets[k];
      if (t === null) continue;
      const a = actual[k]!;
      if (a.edge !== edges[t.edge] || a.output !== t.output || a.view !== t.view || a.offset !== t.offset) return null;
    }
  }
  const { inputs } = plan;
  for (let i = 0; i < inputs.length; i++) {
    const { edge, slot, view } = inputs[i];
    if ((edge < 0 ? seed : edges[edge].saved![slot]).view !== view) return null;
  }
  return edges;
}

/** Records the backward as one call; gives the gradient of each leaf that gets one. */
export function replay({ plan, edges }: Match, seed: Seed, give: (leaf: Edge, value: Value, view: View) => void): void {
  const { inputs, paramEdges, signature, leaves } = plan;
  const n = inputs.length;
  const srcs = new Array<Value>(n);
  let offsets: number[] | null = null;
  for (let i = 0; i < n; i++) {
    const { edge, slot } = inputs[i];
    const from = edge < 0 ? seed : edges[edge].saved![slot];
    srcs[i] = from.value;
    if (from.offset !== 0) {
      offsets ??= new Array<number>(n).fill(0);
      offsets[i] = from.offset;
    }
  }
  const params = new Array<readonly (number | bigint)[]>(paramEdges.length);
  for (let i = 0; i < params.length; i++) params[i] = edges[paramEdges[i]].params;
  const outs = recordSequence(signature, srcs, offsets ?? noOffsets(n), params);
  for (let i = 0; i < leaves.length; i++) give(edges[leaves[i].edge], outs[leaves[i].result], leaves[i].view);
}
