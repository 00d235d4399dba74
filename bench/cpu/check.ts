/** Whether two rivals computed the same: samples of their outputs, by the largest difference relative to the largest element. */

export interface SampledOutput {
  readonly shape: readonly number[];
  /** float32 in base64. */
  readonly data: string;
}

export interface Check {
  readonly ok: boolean;
  /** Largest difference over all outputs, relative to the largest element of its output. */
  readonly difference: number;
  readonly note?: string;
}

export function compareOutputs(ours: readonly SampledOutput[], theirs: readonly SampledOutput[], tolerance: number): Check {
  if (ours.length !== theirs.length)
    return { ok: false, difference: Infinity, note: `${ours.length} outputs, the rival has ${theirs.length}` };
  let worst = 0;
  for (const [i, output] of ours.entries()) {
    const [a, b] = [floats(output.data), floats(theirs[i]!.data)];
    if (output.shape.join() !== theirs[i]!.shape.join() || a.length !== b.length)
      return { ok: false, difference: Infinity, note: `output ${i} is [${output.shape}], the rival's is [${theirs[i]!.shape}]` };
    let [largest, difference] = [0, 0];
    for (let k = 0; k < a.length; k++) {
      largest = Math.max(largest, Math.abs(b[k]!));
      const apart = Object.is(a[k], b[k]) ? 0 : Math.abs(a[k]! - b[k]!);
      // A NaN on one side only is as far as can be.
      difference = Math.max(difference, Number.isNaN(apart) ? Infinity : apart);
    }
    worst = Math.max(worst, difference === 0 ? 0 : difference / largest);
  }
  return { ok: worst <= tolerance, difference: worst };
}

function floats(data: string): Float32Array {
  const bytes = Buffer.from(data, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}
