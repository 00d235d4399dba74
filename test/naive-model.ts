/**
 * The naive model: tensors as a storage array, a shape, strides and an offset, every operator a loop over indices, in float32.
 *
 * What the engine must agree with. It shares nothing with it: no views of ours, no primitives, no broadcasting helper. Sums and products are
 * added up in double and rounded once, so they agree to a tolerance only; everything else is exact but for exp and tanh.
 */
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides.unshift(step);
    step *= shape[i];
  }
  return strides;
}

/** Every index of a shape, in row-major order. */
function* indices(shape: readonly number[]): Generator<number[]> {
  const index = shape.map(() => 0);
  for (let n = product(shape); n > 0; n--) {
    yield [...index];
    for (let d = shape.length - 1; d >= 0; d--) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
}

export class NaiveTensor {
  readonly data: Float32Array;
  readonly shape: number[];
  readonly strides: number[];
  readonly offset: number;
  constructor(data: Float32Array, shape: readonly number[], strides: readonly number[] = rowMajor(shape), offset = 0) {
    this.data = data;
    this.shape = [...shape];
    this.strides = [...strides];
    this.offset = offset;
  }
  static of(shape: readonly number[], value: (index: number[]) => number): NaiveTensor {
    const data = new Float32Array(product(shape));
    let at = 0;
    for (const index of indices(shape)) data[at++] = value(index);
    return new NaiveTensor(data, shape);
  }

  #place(index: readonly number[]): number {
    return index.reduce((at, i, d) => at + i * this.strides[d], this.offset);
  }
  at(index: readonly number[]): number {
    return this.data[this.#place(index)];
  }
  /** The element at an index of a larger shape that this one broadcasts to. */
  #wide(index: readonly number[]): number {
    const lead = index.length - this.shape.length;
    return this.at(this.shape.map((d, i) => (d === 1 ? 0 : index[i + lead])));
  }
  values(): number[] {
    return [...indices(this.shape)].map((i) => this.at(i));
  }

  // ---- views
  #as(shape: readonly number[], strides: readonly number[], offset = this.offset): NaiveTensor {
    return new NaiveTensor(this.data, shape, strides, offset);
  }
  permute(order: readonly number[]): NaiveTensor {
    return this.#as(
      order.map((d) => this.shape[d]),
      order.map((d) => this.strides[d]),
    );
  }
  slice(dim: number, start: number, end: number, step: number): NaiveTensor {
    return this.#as(
      this.shape.map((d, i) => (i === dim ? Math.ceil((end - start) / step) : d)),
      this.strides.map((s, i) => (i === dim ? s * step : s)),
      this.offset + start * this.strides[dim],
    );
  }
  select(dim: number, index: number): NaiveTensor {
    return this.#as(
      this.shape.filter((_, i) => i !== dim),
      this.strides.filter((_, i) => i !== dim),
      this.offset + index * this.strides[dim],
    );
  }
  unsqueeze(dim: number): NaiveTensor {
    return this.#as(
      [...this.shape.slice(0, dim), 1, ...this.shape.slice(dim)],
      [...this.strides.slice(0, dim), 0, ...this.strides.slice(dim)],
    );
  }
  /** A new leading dim, repeated. */
  expandFront(count: number): NaiveTensor {
    return this.#as([count, ...this.shape], [0, ...this.strides]);
  }
  /** A view where one exists, which for this model means: where the elements lie evenly; else a copy. */
  reshape(shape: readonly number[], isView: boolean): NaiveTensor {
    const flat = [...indices(this.shape)].map((i) => this.#place(i));
    if (!isView) return new NaiveTensor(Float32Array.from(this.values()), shape);
    const steps = rowMajor(shape);
    const strides = shape.map((d, i) => (d === 1 ? 0 : flat[steps[i]] - flat[0]));
    return this.#as(shape, strides, flat[0]);
  }

  // ---- results
  #map(f: (x: number) => number): NaiveTensor {
    return NaiveTensor.of(this.shape, (i) => f(this.at(i)));
  }
  #zip(other: NaiveTensor, f: (x: number, y: number) => number): NaiveTensor {
    const n = Math.max(this.shape.length, other.shape.length);
    const size = (t: NaiveTensor, d: number): number => t.shape[d - (n - t.shape.length)] ?? 1;
    const shape = Array.from({ length: n }, (_, d) => (size(this, d) === 1 ? size(other, d) : size(this, d)));
    return NaiveTensor.of(shape, (i) => f(this.#wide(i), other.#wide(i)));
  }
  add(other: NaiveTensor): NaiveTensor {
    return this.#zip(other, (x, y) => x + y);
  }
  sub(other: NaiveTensor): NaiveTensor {
    return this.#zip(other, (x, y) => x - y);
  }
  mul(other: NaiveTensor): NaiveTensor {
    return this.#zip(other, (x, y) => x * y);
  }
  scale(factor: number): NaiveTensor {
    return this.#map((x) => x * Math.fround(factor));
  }
  shift(by: number): NaiveTensor {
    return this.#map((x) => x + Math.fround(by));
  }
  neg(): NaiveTensor {
    return this.#map((x) => -x);
  }
  abs(): NaiveTensor {
    return this.#map(Math.abs);
  }
  relu(): NaiveTensor {
    return this.#map((x) => Math.max(x, 0));
  }
  tanh(): NaiveTensor {
    return this.#map(Math.tanh);
  }
  clone(): NaiveTensor {
    return this.#map((x) => x);
  }
  #reduce(dim: number, keepdim: boolean, f: (values: number[]) => number): NaiveTensor {
    const kept = this.shape.filter((_, i) => i !== dim);
    const out = NaiveTensor.of(kept, (index) => {
      const row = Array.from({ length: this.shape[dim] }, (_, k) => this.at([...index.slice(0, dim), k, ...index.slice(dim)]));
      return f(row);
    });
    return keepdim ? new NaiveTensor(out.data, [...this.shape.slice(0, dim), 1, ...this.shape.slice(dim + 1)]) : out;
  }
  sum(dim: number, keepdim: boolean): NaiveTensor {
    return this.#reduce(dim, keepdim, (v) => v.reduce((a, b) => a + b, 0));
  }
  mean(dim: number, keepdim: boolean): NaiveTensor {
    return this.#reduce(dim, keepdim, (v) => v.reduce((a, b) => a + b, 0) / v.length);
  }
  amax(dim: number, keepdim: boolean): NaiveTensor {
    return this.#reduce(dim, keepdim, (v) => Math.max(...v));
  }
  softmax(dim: number): NaiveTensor {
    const peak = this.amax(dim, true);
    const e = NaiveTensor.of(this.shape, (i) => Math.exp(this.at(i) - peak.#wide(i)));
    const total = e.sum(dim, true);
    return NaiveTensor.of(this.shape, (i) => e.at(i) / total.#wide(i));
  }
  matmul(other: NaiveTensor): NaiveTensor {
    const [m, k] = this.shape;
    return NaiveTensor.of([m, other.shape[1]], ([i, j]) => {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += this.at([i, p]) * other.at([p, j]);
      return sum;
    });
  }
  cat(other: NaiveTensor, dim: number): NaiveTensor {
    const shape = this.shape.map((d, i) => (i === dim ? d + other.shape[dim] : d));
    return NaiveTensor.of(shape, (index) => {
      const at = index[dim] - this.shape[dim];
      return at < 0 ? this.at(index) : other.at(index.map((x, i) => (i === dim ? at : x)));
    });
  }

  // ---- writes: the value is computed whole, then stored
  copy_(value: NaiveTensor): this {
    const made = NaiveTensor.of(this.shape, (i) => value.#wide(i));
    for (const i of indices(this.shape)) this.data[this.#place(i)] = made.at(i);
    return this;
  }
  add_(other: NaiveTensor): this {
    return this.copy_(this.add(other));
  }
  mul_(other: NaiveTensor): this {
    return this.copy_(this.mul(other));
  }
  fill_(value: number): this {
    for (const i of indices(this.shape)) this.data[this.#place(i)] = value;
    return this;
  }
}

/** True when no element lies at two indices. */
export function isInjective(t: NaiveTensor): boolean {
  const places = [...indices(t.shape)].map((index) => index.reduce((at, i, d) => at + i * t.strides[d], t.offset));
  return new Set(places).size === places.length;
}

/** True when `shape` is a strided window of the same elements: then PyTorch's reshape is a view. */
export function hasView(t: NaiveTensor, shape: readonly number[]): boolean {
  const places = [...indices(t.shape)].map((index) => index.reduce((at, i, d) => at + i * t.strides[d], t.offset));
  const steps = rowMajor(shape);
  let at = 0;
  for (const index of indices(shape)) {
    const expected = index.reduce((sum, i, d) => sum + (i === 0 ? 0 : i * (places[steps[d]] - places[0])), places[0]);
    if (places[at++] !== expected) return false;
  }
  return true;
}
