/**
 * The `cuda` device checked against `cpu` and timed, on a machine with a card and without npm: `node bench/cuda-check.mjs [DIST] [parts]`.
 *
 * Parts: `same` (elementwise, reductions, rows, indexing, views, in-place: the same bits as on the CPU; products within a tolerance; lazy,
 * eager and random flushes alike), `train` (losses of the model of `npm start` on both devices), `time` (bandwidth, a training step, launches).
 * Ends with a line of counts and exit status 1 if anything differs. DIST is a folder of compiled JavaScript (default `dist`); see cuda-build.mjs.
 */
import { resolve } from 'node:path';

const dist = resolve(process.argv[2] ?? 'dist');
const parts = new Set((process.argv[3] ?? 'same,train,time').split(','));
const { default: torch, nn } = await import(`${dist}/index.js`);
const { engineOf } = await import(`${dist}/tensor/devices.js`);
const { flags } = await import(`${dist}/util/flags.js`);
const { Gpt, languageLoss, makeOptimizer } = await import(`${dist}/cli/gpt.js`);
const F = nn.functional;
const engine = engineOf('cuda');
const backend = engine.backend;
const counts = { equal: 0, wrong: 0 };
console.log(torch.cuda.get_device_name(), torch.cuda.get_device_capability().join('.'), 'cuBLAS:', backend.cublasPath);

const bytesOf = (x) => {
  const c = x.detach().contiguous().to('cpu');
  const a =
    c.dtype.name === 'bfloat16' || c.dtype.name === 'float16' || c.dtype.name.startsWith('float8')
      ? c.to(torch.float32).numpy()
      : c.numpy();
  return a;
};
/** Largest difference relative to the largest value; 0 where the bits agree (NaNs are all alike). */
function difference(a, b) {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  if (x.length !== y.length) return Infinity;
  let [worst, most] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const [u, v] = [Number(x[i]), Number(y[i])];
    if (Number.isNaN(u) && Number.isNaN(v)) continue;
    if (Number.isFinite(v)) most = Math.max(most, Math.abs(v));
    if (u === v) continue;
    const d = Math.abs(u - v);
    worst = Math.max(worst, Number.isNaN(d) ? Infinity : d);
  }
  return worst === 0 ? 0 : worst / Math.max(most, 1e-30);
}
function check(name, tolerance, run) {
  let text = '';
  try {
    const expected = run('cpu');
    const got = run('cuda');
    const lists = [expected, got].map((r) => (Array.isArray(r) ? r : [r]));
    const worst = Math.max(...lists[0].map((e, i) => difference(lists[1][i], e)));
    if (worst > tolerance) text = `differs by ${worst.toExponential(2)}`;
  } catch (error) {
    text = String(error?.stack ?? error).slice(0, 700);
  }
  if (text === '') counts.equal++;
  else {
    counts.wrong++;
    console.log(`WRONG ${name}: ${text}`);
  }
}
const data = new Map();
/** The same numbers on both devices. */
function input(device, shape, dtype = torch.float32, seed = 0) {
  const key = `${shape} ${dtype.name} ${seed}`;
  if (!data.has(key)) {
    torch.manual_seed(seed + 7);
    data.set(key, torch.randn(shape).mul(3).to(dtype));
    torch.synchronize('cpu');
  }
  return data.get(key).to(device);
}
const index = (device, values) => torch.tensor(values.map(BigInt), { device });
const { float32, float64, bfloat16, float16, int64, int32, int16, int8, uint8, bool } = torch;
const floats = [float32, float64, bfloat16, float16];
const numbers = [...floats, int64, int32, int16, int8, uint8];

function same(mode) {
  const unary =
    'exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc lgamma digamma sqrt rsqrt floor ceil trunc round sigmoid neg abs sign reciprocal square'.split(
      ' ',
    );
  for (const dtype of floats) check(`${mode} unary ${dtype.name}`, 0, (d) => unary.map((f) => input(d, [1237], dtype)[f]()));
  for (const dtype of numbers)
    check(`${mode} binary ${dtype.name}`, 0, (d) => {
      const [x, y] = [input(d, [37, 65], dtype, 1), input(d, [65], dtype, 2)];
      return ['add', 'sub', 'mul', 'maximum', 'minimum', 'eq', 'lt', 'ge', 'ne'].map((f) => x[f](y));
    });
  for (const dtype of [int64, int32])
    check(`${mode} bits ${dtype.name}`, 0, (d) => {
      const [x, y] = [input(d, [37, 65], dtype, 1), input(d, [65], dtype, 2)];
      return [
        ...['bitwise_and', 'bitwise_or', 'bitwise_xor'].map((f) => x[f](y)),
        x.bitwise_not(),
        x.bitwise_left_shift(3),
        x.bitwise_right_shift(1),
        x.floor_divide(3),
        x.remainder(3),
      ];
    });
  for (const dtype of [float32, float64])
    check(`${mode} pow, atan2, fmod ${dtype.name}`, 0, (d) => {
      const [x, y] = [input(d, [999], dtype, 1), input(d, [999], dtype, 2)];
      return [x.abs().pow(y), x.atan2(y), x.fmod(y), x.div(y), x.remainder(y)];
    });
  for (const from of numbers)
    check(`${mode} casts of ${from.name}`, 0, (d) => [...numbers, bool].map((to) => input(d, [777], from, 3).to(to)));
  check(`${mode} casts out of range`, 0, (d) => {
    const x = torch.tensor(
      [1e20, -1e20, Infinity, -Infinity, 3e9, -3e9, 2147483648, -0.5, 0.5, 65504, 65520, 1e-8, 6e-8, 448, 464, 465, 500, 61440, 1e5],
      { device: d },
    );
    return [int64, int32, float16, bfloat16, torch.float8_e4m3fn, torch.float8_e5m2].map((t) => x.to(t).to(float32));
  });
  for (const dtype of [float8(torch), torch.float8_e5m2])
    check(`${mode} ${dtype.name}`, 0, (d) => input(d, [5000], float32, 4).mul(30).to(dtype).to(float32));
  for (const dtype of numbers)
    for (const [rows, columns] of [
      [7, 5],
      [33, 1000],
      [9, 2500],
      [1, 10000],
      [300, 3],
    ])
      check(`${mode} reductions ${dtype.name} ${rows}x${columns}`, 0, (d) => {
        const x = input(d, [rows, columns], dtype, 5);
        return [
          x.sum(),
          x.sum(0),
          x.sum(1),
          x.amax(0),
          x.amax(1),
          x.amin(),
          x.argmax(0),
          x.argmax(1),
          x.argmin(),
          ...(dtype.name.includes('float') ? [x.mean(1), x.prod(1)] : []),
        ];
      });
  check(`${mode} long reductions`, 0, (d) => {
    const [x, y, z] = [input(d, [1, 100000]), input(d, [3, 70000]), input(d, [300, 3000])];
    return [
      x.sum(),
      x.argmax(),
      x.amax(1),
      y.sum(1),
      y.argmin(1),
      y.sum(),
      z.sum(),
      z.t().sum(),
      z.argmax(),
      z.norm(),
      z.var(),
      x.to(float64).sum(),
      y.to(bfloat16).sum(1),
      x.gt(3).any(),
      y.mul(10).to(int64).sum(),
    ];
  });
  check(`${mode} very long rows`, 0, (d) => {
    const x = input(d, [2, 200000]);
    return [F.softmax(x, -1), F.layer_norm(x, [200000]), F.log_softmax(x, -1), x.sub(x.mean(1, true)).pow(2).sum(1)];
  });
  check(`${mode} clipping as in training`, 1e-6, (d) => {
    const ps = [[300, 700], [700], [5000, 40]].map((s, i) => {
      const p = input(d, s, float32, i).clone().requires_grad_();
      p.mul(input(d, s, float32, i + 9))
        .sum()
        .backward();
      return p;
    });
    const n = nn.utils.clip_grad_norm_(ps, 1);
    return [n, ...ps.map((p) => p.grad)];
  });
  check(`${mode} any, all`, 0, (d) => {
    const x = input(d, [33, 1000], float32, 6).gt(1);
    return [x.any(), x.any(0), x.all(1), x.any(1)];
  });
  check(`${mode} reduction over a middle dim`, 0, (d) => {
    const x = input(d, [5, 300, 7]);
    return [x.sum(1), x.sum([0, 2]), x.amax(1), x.var(1)];
  });
  for (const dtype of [float32, bfloat16])
    for (const n of [5, 96, 1500, 50257])
      check(`${mode} rows ${dtype.name} ${n}`, 0, (d) => {
        const x = input(d, [19, n], dtype, 8);
        const w = input(d, [n], dtype, 9);
        return [F.softmax(x, -1), F.log_softmax(x, -1), F.layer_norm(x, [n], w, w), F.gelu(x), F.silu(x), x.logsumexp(1)];
      });
  check(`${mode} gradients`, 0, (d) => {
    const x = input(d, [19, 96], float32, 8).clone().requires_grad_();
    F.layer_norm(F.softmax(F.gelu(x), -1), [96])
      .mul(input(d, [19, 96], float32, 9))
      .sum()
      .backward();
    return x.grad;
  });
  check(`${mode} gather, index_select, embedding`, 0, (d) => {
    const x = input(d, [40, 33]);
    const i = index(d, [3, 39, 0, 3, 17]);
    return [x.index_select(0, i), x.index_select(1, i.clamp(0, 32)), x.gather(1, i.view([5, 1]).clamp(0, 32)), F.embedding(i, x)];
  });
  check(`${mode} scatter, index_add, embedding gradient`, 0, (d) => {
    const x = input(d, [40, 33]).clone();
    const i = index(d, [3, 39, 0, 3, 17]);
    const v = input(d, [5, 33], float32, 2);
    const w = input(d, [40, 33]).clone().requires_grad_();
    F.embedding(i, w).mul(v).sum().backward();
    return [
      x.index_add(0, i, v),
      x.scatter(0, i.view([5, 1]).expand([5, 33]), v),
      x.scatter_add(0, i.view([5, 1]).expand([5, 33]), v),
      w.grad,
    ];
  });
  check(`${mode} cumsum, sort, topk, where, cat, flip`, 0, (d) => {
    const x = input(d, [13, 257]);
    return [
      x.cumsum(1),
      x.cumsum(0),
      x.sort(1)[0],
      x.topk(5)[0],
      torch.where(x.gt(0), x, x.neg()),
      torch.cat([x, x.flip([1])], 0),
      x.roll(3, 1),
      x.tril(),
    ];
  });
  check(`${mode} views and in-place`, 0, (d) => {
    const x = input(d, [24, 36]).clone();
    const v = x.t();
    v.mul_(2);
    x.select(0, 3).add_(1);
    x.narrow(1, 2, 5).copy_(x.narrow(1, 20, 5));
    x.add_(x.t().contiguous().t());
    x.masked_fill_(x.gt(4), 0.5);
    return [x, v.contiguous(), x.permute(1, 0).reshape([6, 144]), x.unfold(1, 6, 3)];
  });
  check(`${mode} convolution, pooling`, 1e-5, (d) => {
    const x = input(d, [2, 3, 20, 20]);
    return [F.conv2d(x, input(d, [4, 3, 3, 3], float32, 2)), F.max_pool2d(x, 2), F.avg_pool2d(x, 2)];
  });
  for (const [name, tolerance, dtype] of [
    ['float32', 1e-5, float32],
    ['float64', 1e-13, float64],
    ['bfloat16', 1e-2, bfloat16],
    ['float16', 2e-3, float16],
    ['int64', 0, int64],
  ])
    for (const [m, k, n] of [
      [1, 1, 1],
      [5, 7, 3],
      [64, 64, 64],
      [100, 300, 70],
      [1, 500, 33],
      [200, 3, 1],
    ])
      check(`${mode} matmul ${name} ${m}x${k}x${n}`, tolerance, (d) => {
        const [a, b] = [input(d, [m, k], dtype, 1), input(d, [k, n], dtype, 2)];
        const [at, bt] = [input(d, [k, m], dtype, 3).t(), input(d, [n, k], dtype, 4).t()];
        return [a.matmul(b), at.matmul(b), a.matmul(bt), at.matmul(bt)];
      });
  check(`${mode} batched products`, 1e-5, (d) => {
    const qkv = input(d, [4, 10, 3, 2, 16]);
    const [q, k, v] = qkv.permute(2, 0, 3, 1, 4).unbind(0);
    return [
      q.matmul(k.transpose(-1, -2)),
      F.scaled_dot_product_attention(q, k, v, { is_causal: true }),
      torch.bmm(input(d, [6, 9, 8]), input(d, [6, 8, 7])),
      input(d, [6, 9, 8]).matmul(input(d, [8, 5])),
    ];
  });
}
function float8(t) {
  return t.float8_e4m3fn;
}

if (parts.has('same')) {
  const begin = performance.now();
  for (const mode of ['lazy', 'eager', 'random:5']) {
    flags.flush = mode;
    same(mode);
    console.log(
      `${mode}: ${counts.equal} agree, ${counts.wrong} do not, ${((performance.now() - begin) / 1000).toFixed(1)} s, ${JSON.stringify(backend.kernels.statistics)}`,
    );
    if (parts.has('one')) break;
  }
  flags.flush = 'lazy';
}

const small = { vocabulary: 81, layers: 3, heads: 3, width: 96, context: 96, batch: 16 };
const large = { vocabulary: 30522, layers: 6, heads: 12, width: 768, context: 128, batch: 4 };
function trainer(device, { batch, ...config }) {
  torch.manual_seed(3);
  const model = new Gpt(config).to(device);
  const optimizer = makeOptimizer(model, 1e-3);
  return {
    parameters: model.parameters().reduce((n, p) => n + p.numel(), 0),
    step(i) {
      torch.manual_seed(100 + i);
      const window = torch.randint(0, config.vocabulary, [batch, config.context + 1]);
      const [x, y] = [window.narrow(1, 0, config.context), window.narrow(1, 1, config.context)].map((t) => t.contiguous().to(device));
      optimizer.zero_grad();
      const loss = languageLoss(model, x, y);
      loss.backward();
      nn.utils.clip_grad_norm_(model.parameters(), 1);
      optimizer.step();
      return loss.item();
    },
  };
}
if (parts.has('train')) {
  const steps = 12;
  const [ours, theirs] = ['cuda', 'cpu'].map((d) => {
    const t = trainer(d, small);
    return Array.from({ length: steps }, (_, i) => t.step(i));
  });
  const worst = Math.max(...ours.map((l, i) => Math.abs(l - theirs[i])));
  console.log(`losses on cuda ${ours.map((l) => l.toFixed(5)).join(' ')}`);
  console.log(`losses on cpu  ${theirs.map((l) => l.toFixed(5)).join(' ')}; largest difference ${worst.toExponential(2)}`);
  if (!(worst < 2e-4)) counts.wrong++;
  const { launches, graphLaunches, captures } = backend.driver.statistics;
  console.log(`launches ${launches}, graph replays ${graphLaunches}, captures ${captures}, ${JSON.stringify(backend.kernels.statistics)}`);
}

const wait = () => {
  engine.flush();
  backend.synchronize();
};
/** Median microseconds of `run`, enqueued in groups. */
function microsecondsOnHost(run, times = 20, groups = 5) {
  for (let i = 0; i < 5; i++) run();
  wait();
  const found = [];
  for (let g = 0; g < groups; g++) {
    const begin = performance.now();
    for (let i = 0; i < times; i++) run();
    wait();
    found.push(((performance.now() - begin) * 1000) / times);
  }
  return found.sort((a, b) => a - b)[groups >> 1];
}
if (parts.has('time')) {
  const n = 64 * 2 ** 20;
  const row = (name, bytes, us) =>
    console.log(`TIME ${name.padEnd(34)} ${us.toFixed(1).padStart(9)} us ${(bytes / us / 1e6).toFixed(3).padStart(7)} TB/s`);
  torch.manual_seed(1);
  const x = torch.randn([n]).to('cuda');
  const rows = x.view([-1, 4096]).narrow(0, 0, 4096);
  const w = torch.ones([4096], { device: 'cuda' });
  const b16 = x.to(bfloat16);
  // Kernels are timed one by one with events, so that allocation and the host stay out of it; the median of 15.
  const microseconds = (f) => {
    const found = [];
    const print = console.error;
    flags.trace = 'profile';
    for (let i = 0; i < 20; i++) {
      let us = 0;
      console.error = (text) => {
        us += Number(/([\d.]+) us/.exec(text)?.[1] ?? 0);
      };
      f();
      engine.flush();
      if (i >= 5) found.push(us);
    }
    console.error = print;
    flags.trace = '';
    return found.sort((a, b) => a - b)[found.length >> 1];
  };
  const [p, g, m, v] = [1, 2, 3, 4].map(() => torch.randn([n >> 1]).to('cuda'));
  const adamLike = () => {
    m.mul_(0.9).add_(g.mul(0.1));
    v.mul_(0.99).add_(g.mul(g).mul(0.01));
    p.sub_(m.div(v.abs().sqrt().add(1e-8)).mul(1e-3));
  };
  torch.no_grad(() => {
    row(
      'x * 1.0001, 64M float32',
      8 * n,
      microseconds(() => x.mul(1.0001)),
    );
    row(
      'x * 1.0001, 64M bfloat16',
      4 * n,
      microseconds(() => b16.mul(1.0001)),
    );
    row(
      'gelu(x * a + b) erf, 64M',
      8 * n,
      microseconds(() => F.gelu(x.mul(1.5).add(0.5))),
    );
    row(
      'gelu tanh, 64M',
      8 * n,
      microseconds(() => F.gelu(x, { approximate: 'tanh' })),
    );
    row(
      'softmax 4096x4096',
      2 * 4 * 4096 ** 2,
      microseconds(() => F.softmax(rows, -1)),
    );
    row(
      'layer_norm 4096x4096',
      2 * 4 * 4096 ** 2,
      microseconds(() => F.layer_norm(rows, [4096], w, w)),
    );
    row(
      'sum over rows 4096x4096',
      4 * 4096 ** 2,
      microseconds(() => rows.sum(1)),
    );
    row(
      'sum over columns 4096x4096',
      4 * 4096 ** 2,
      microseconds(() => rows.sum(0)),
    );
    row('AdamW-like: 4 in, 3 out in place, 32M', 28 * (n >> 1), microseconds(adamLike));
    row(
      'transpose 4096x4096',
      2 * 4 * 4096 ** 2,
      microseconds(() => rows.t().contiguous()),
    );
    const c = torch.randn([4096, 4096]).to('cuda');
    const us = microseconds(() => c.matmul(c));
    console.log(`TIME matmul 4096 float32 ${us.toFixed(0)} us, ${((2 * 4096 ** 3) / us / 1e6).toFixed(1)} TFLOP/s`);
    const h = c.to(bfloat16);
    const us16 = microseconds(() => h.matmul(h));
    console.log(`TIME matmul 4096 bfloat16 ${us16.toFixed(0)} us, ${((2 * 4096 ** 3) / us16 / 1e6).toFixed(1)} TFLOP/s`);
    const tiny = torch.ones([16], { device: 'cuda' });
    const addTiny = () => {
      tiny.add(1);
      engine.flush();
    };
    console.log(`TIME add of 16 floats, flushed each time: ${microsecondsOnHost(addTiny, 500).toFixed(2)} us`);
  });
  for (const [name, config, steps, tf32] of [
    ['small (main job)', small, 200, false],
    ['6/768, 4 x 128, vocabulary 30522', large, 30, false],
    ['6/768, the same with TF32', large, 30, true],
  ]) {
    torch.backends.cuda.matmul.allow_tf32 = tf32;
    const before = { ...backend.driver.statistics };
    const t = trainer('cuda', config);
    const begun = performance.now();
    t.step(0);
    const first = performance.now() - begun;
    for (let i = 1; i < 6; i++) t.step(i);
    const mid = { ...backend.driver.statistics };
    const times = [];
    for (let i = 0; i < steps; i++) {
      const begin = performance.now();
      t.step(i);
      times.push(performance.now() - begin);
    }
    times.sort((a, b) => a - b);
    const after = backend.driver.statistics;
    const ms = times[steps >> 1];
    console.log(
      `TIME training step ${name}, ${t.parameters} parameters: ${ms.toFixed(2)} ms (quickest ${times[0].toFixed(2)}), ${(((config.batch * config.context) / ms) * 1000).toFixed(0)} tokens/s; ` +
        `first step ${(first / 1000).toFixed(1)} s; a step: ${(after.graphLaunches - mid.graphLaunches) / steps} graphs, ${((after.launches - mid.launches) / steps).toFixed(1)} single launches; captures ${after.captures - before.captures}`,
    );
    flags.trace = 'profile';
    const lines = [];
    const print = console.error;
    console.error = (text) => lines.push(text);
    t.step(0);
    console.error = print;
    flags.trace = '';
    const ranked = lines.map((l) => [Number(/([\d.]+) us/.exec(l)?.[1] ?? 0), l]).sort((a, b) => b[0] - a[0]);
    console.log(`${lines.length} kernels, ${(ranked.reduce((s, [u]) => s + u, 0) / 1000).toFixed(2)} ms on the card; the slowest:`);
    for (const [, line] of ranked.slice(0, 25)) console.log(line);
  }
  console.log(torch.cuda.memory_summary());
}
console.log(`RESULT ${counts.equal} agree, ${counts.wrong} do not`);
process.exit(counts.wrong === 0 ? 0 : 1);
