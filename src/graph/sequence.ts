/**
 * Sequences: several calls recorded as one node, so that what is known to come in one piece (a backward that was seen before) costs one call.
 *
 * A sequence is taken apart again only when a program is compiled; to find a program that exists it is one entry of the key.
 */
import { type CallSequence, Node, type SequencedCall, type Signature, Value } from './node.ts';

/** One signature for `calls`; `pattern` says which structure they have, whatever their sizes. */
export function sequenceSignature(
  name: string,
  calls: readonly SequencedCall[],
  inputs: Signature['inputs'],
  outs: Signature['outs'],
  numbered: { readonly id: number; readonly pattern: number },
): Signature {
  const numbers: number[] = [];
  const offsetsAt = new Int32Array(inputs.length);
  let bytes = 0;
  for (const { signature, srcs } of calls) {
    for (const { call, index } of srcs) {
      if (call < 0) offsetsAt[index] = numbers.length;
      numbers.push(0);
    }
    for (const n of signature.numbers) numbers.push(n);
    bytes += signature.bytes;
  }
  const body = (): never => {
    throw new Error(`internal: ${name} was not taken apart`);
  };
  const sequence: CallSequence = { calls, offsetsAt };
  return {
    ...numbered,
    operator: { name, body },
    inputs,
    constants: null,
    dims: [],
    needs: null,
    device: outs[0].device,
    outs,
    bytes,
    visible: outs.length,
    saved: [],
    wrt: [],
    edge: { name, takes: [], kept: [], tracked: outs.map(() => false), watched: false, mask: 0, gradients: new Map() },
    numbers: Int32Array.from(numbers),
    sequence,
  };
}

/** The calls that `nodes` stand for, in order: sequences are replaced by what they consist of, which makes the same values. */
export function singleCalls(nodes: readonly Node[]): readonly Node[] {
  return nodes.some((n) => n.signature.sequence !== null) ? nodes.flatMap((n) => (n.signature.sequence === null ? [n] : apart(n))) : nodes;
}

function apart(node: Node): Node[] {
  const made: Node[] = [];
  for (const { signature, srcs, outs, params } of node.signature.sequence!.calls) {
    const sources = srcs.map(({ call, index }) => (call < 0 ? node.srcs![index] : made[call].outs[index]));
    const offsets = srcs.map(({ call, index }) => (call < 0 ? node.offsets[index] : 0));
    const single = new Node(signature, sources, offsets, params < 0 ? [] : node.paramLists![params], null, node.place);
    outs.forEach((out, i) => {
      const view = signature.outs[i];
      single.outs[i] = out < 0 ? new Value(single, i, view.dtype, view.numel, view.device) : node.outs[out];
    });
    made.push(single);
  }
  return made;
}
