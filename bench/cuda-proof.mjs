/**
 * What the `cuda` device has to show besides the records, on a machine with a card: `node bench/cuda-proof.mjs BUILD SHARED [parts]`.
 *
 * Parts: `models` (checkpoints of SHARED/conformance/models and SHARED/models/stories260k: logits, tokens, losses), `random` (random programs, the same bits
 * in each flush mode and as on the CPU, products within a tolerance), `runtime` (torch.cuda: memory, events, several cards, out of memory and
 * on, errors by the kernel's name). A line for each check; exit status 1 if one fails.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const build = resolve(process.argv[2]);
const shared = resolve(process.argv[3]);
const parts = new Set((process.argv[4] ?? 'models,random,runtime').split(','));
const { default: torch, nn, optim } = await import(`${build}/src/index.js`);
const { engineOf } = await import(`${build}/src/tensor/devices.js`);
const { flags } = await import(`${build}/src/util/flags.js`);
const models = await import(`${build}/src/models/index.js`);
const device = process.env.PROOF_DEVICE ?? 'cuda';

let failures = 0;
async function check(name, body) {
  try {
    const note = await body();
    console.log(`ok    ${name}${note === undefined ? '' : `: ${note}`}`);
  } catch (error) {
    failures++;
    console.log(`WRONG ${name}: ${String(error?.stack ?? error).slice(0, 1200)}`);
  }
}
function equal(got, expected, what = 'value') {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a?.slice(0, 300)} instead of ${b?.slice(0, 300)}`);
}
function near(got, expected, limit, what = 'value') {
  if (!(Math.abs(got - expected) <= limit)) throw new Error(`${what}: ${got} instead of ${expected}`);
}
function throws(body, pattern) {
  try {
    body();
  } catch (error) {
    if (!pattern.test(error.message)) throw new Error(`another error: ${error.message}`);
    return error;
  }
  throw new Error('no error');
}

// ---- models

const int64 = (rows) => torch.tensor(rows, { dtype: torch.int64, device });
function difference(tensor, expected) {
  const flat = expected.flat(3);
  const values = [...tensor.detach().to('cpu').reshape(-1).numpy()];
  if (values.length !== flat.length) throw new Error(`${values.length} values instead of ${flat.length}`);
  return Math.max(...values.map((x, i) => (Number.isFinite(x) ? Math.abs(x - flat[i]) : Infinity)));
}
const limit = 1e-4;
const within = (...differences) => {
  const most = Math.max(...differences);
  if (!(most < limit)) throw new Error(`differs by ${most}`);
  return `within ${most.toExponential(1)}`;
};
if (parts.has('models')) {
  const golden = (name) => JSON.parse(readFileSync(join(shared, 'conformance/models', name, 'golden.json'), 'utf8'));
  const load = (name, as) => models.from_pretrained(join(shared, 'conformance/models', name), { device, ...(as ? { as } : {}) });
  for (const name of ['gpt2-tiny', 'llama-tiny']) {
    const g = golden(name);
    await check(`${name}: logits`, () => {
      const { logits } = torch.no_grad(() => load(name)(int64(g.input_ids)));
      return within(difference(logits.select(1, -1), g.logits_last), difference(logits.mean(-1), g.logits_mean));
    });
    await check(`${name}: greedy tokens`, async () => {
      const model = load(name);
      const tokens = [];
      for await (const token of models.generate(model, g.input_ids[0], { max_new_tokens: 24, stop_tokens: [] })) tokens.push(token);
      equal(tokens, g.greedy24.slice(17), 'tokens');
      return `${tokens.length} tokens`;
    });
  }
  await check('bert-tiny: logits and hidden states', () => {
    const g = golden('bert-tiny');
    const model = load('bert-tiny', models.BertForMaskedLM);
    const [ids, attention_mask] = [int64(g.input_ids), int64(g.attention_mask)];
    const [logits, hidden] = torch.no_grad(() => {
      const { last_hidden_state } = model.bert(ids, { attention_mask });
      return [model(ids, { attention_mask }).logits, last_hidden_state];
    });
    return within(difference(logits.mean(-1), g.logits_mean), difference(hidden.reshape(-1).narrow(0, 0, 512), g.hidden_last));
  });
  for (const name of ['gpt2-tiny', 'llama-tiny', 'bert-tiny'])
    await check(`${name}: eight steps of AdamW`, () => {
      const g = golden(name);
      const model = load(name, name === 'bert-tiny' ? models.BertForMaskedLM : undefined);
      const input_ids = int64(g.input_ids);
      const attention_mask = g.attention_mask === undefined ? null : int64(g.attention_mask);
      const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3, weight_decay: 0.01 });
      model.train();
      const losses = g.adamw_losses.map(() => {
        const { loss } = model(input_ids, { attention_mask, labels: input_ids });
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        return loss.item();
      });
      return within(...losses.map((x, i) => Math.abs(x - g.adamw_losses[i])));
    });
  const stories = join(shared, 'models/stories260k');
  if (existsSync(join(stories, 'stories260K.bin')))
    await check('stories260K: the recorded stories', async () => {
      const g = JSON.parse(readFileSync(join(stories, 'golden.json'), 'utf8'));
      const model = models.from_llama2c(join(stories, 'stories260K.bin'), { device });
      for (const { prompt_ids, greedy_ids } of g.runs) {
        const told = [...prompt_ids];
        for await (const token of models.generate(model, prompt_ids, { max_new_tokens: greedy_ids.length - prompt_ids.length }))
          told.push(token);
        equal(told, greedy_ids, 'tokens');
      }
      return `${g.runs.length} stories`;
    });
  else console.log(`skip  stories260K: ${stories} is not there`);
}

// ---- random programs

if (parts.has('random')) {
  const { default: fc } = await import(createRequire(`${build}/src/index.js`).resolve('fast-check'));
  const { execute, randomProgram } = await import(`${build}/test/random-program.js`);
  const { engine } = await import(`${build}/test/machines.js`);
  const runs = Number(process.env.PROOF_RUNS ?? 150);
  const text = (rows) => rows.map((r) => r.map((x) => (Object.is(x, -0) ? '-0' : `${x}`)).join(' '));
  let [same, close] = [0, 0];
  await check(`${runs} random programs`, () => {
    const programs = fc.sample(randomProgram, { numRuns: runs, seed: 20261124 });
    const wrong = [];
    programs.forEach((program, number) => {
      flags.flush = 'lazy';
      const onCpu = execute(program, engine('cpu'));
      let first = null;
      for (const mode of ['lazy', 'eager', 'random:1', 'random:5']) {
        flags.flush = mode;
        const got = execute(program, engine(device));
        flags.flush = 'lazy';
        if (first === null) {
          first = text(got);
          if (JSON.stringify(first) === JSON.stringify(text(onCpu))) same++;
          else {
            const peak = Math.max(1, ...onCpu.flat().map(Math.abs));
            const worst = Math.max(
              0,
              ...got.flatMap((row, r) => row.map((x, i) => (Object.is(x, onCpu[r][i]) ? 0 : Math.abs(x - onCpu[r][i])))),
            );
            if (peak < 1e4 && !(worst <= 2e-5 * peak * peak)) wrong.push(`program ${number}: ${worst} off the CPU`);
            else close++;
          }
        } else if (JSON.stringify(text(got)) !== JSON.stringify(first)) wrong.push(`program ${number}: other bits ${mode}`);
      }
    });
    if (wrong.length > 0) throw new Error(`${wrong.length} of ${runs}: ${wrong.slice(0, 8).join('; ')}`);
    return `the same bits lazily, eagerly and at random; ${same} have the CPU's bits, ${close} are near them (products)`;
  });
}

// ---- torch.cuda

if (parts.has('runtime')) {
  const { cuda } = torch;
  const MiB = 2 ** 20;
  await check('facts', () => {
    const p = cuda.get_device_properties();
    equal(p.name, cuda.get_device_name('cuda:0'), 'name');
    equal([p.major, p.minor], cuda.get_device_capability(0), 'capability');
    equal(cuda.current_device(), 0, 'current_device');
    return `${cuda.device_count()} x ${p.name}, ${p.multi_processor_count} multiprocessors, L2 ${p.L2_cache_size / MiB} MiB, ${(p.total_memory / 2 ** 30).toFixed(1)} GiB`;
  });
  await check('cuda:0 is cuda', () => {
    const x = torch.ones([3], { device: 'cuda:0' });
    equal(x.device, 'cuda', 'device');
    equal(new nn.Linear(2, 2).to('cuda:0').weight.device, 'cuda', 'of a module');
    equal(x.add(torch.ones([3]).to('cuda')).tolist(), [2, 2, 2], 'sum');
    equal(x.to('cpu:0').device, 'cpu', 'back');
    throws(() => torch.ones([1], { device: 'cuda:63' }).sum().item(), /invalid device ordinal/);
  });
  await check('memory_allocated, peaks, empty_cache', () => {
    cuda.synchronize();
    cuda.empty_cache();
    const before = cuda.memory_allocated();
    cuda.reset_peak_memory_stats();
    let x = torch.zeros([(64 * MiB) / 4], { device });
    cuda.synchronize();
    equal(cuda.memory_allocated() - before, x.numel() * 4, 'allocated');
    if (cuda.memory_reserved() < 64 * MiB) throw new Error('reserved less than allocated');
    x = null;
    cuda.empty_cache();
    near(cuda.memory_allocated(), before, 4096, 'after empty_cache');
    if (cuda.max_memory_allocated() - before < 64 * MiB) throw new Error('the peak is lost');
    const reserved = cuda.memory_reserved();
    cuda.reset_peak_memory_stats();
    equal(cuda.max_memory_allocated(), cuda.memory_allocated(), 'peak after reset');
    const [free, total] = cuda.mem_get_info();
    if (!(free > 0 && free < total)) throw new Error('mem_get_info');
    if (!/Reserved memory/.test(cuda.memory_summary())) throw new Error('memory_summary');
    return `${(reserved / MiB).toFixed(0)} MiB reserved at the end`;
  });
  await check('out of memory is an error, and the process goes on', () => {
    const keep = torch.ones([1000], { device });
    cuda.synchronize();
    const [, total] = cuda.mem_get_info();
    const error = throws(() => {
      torch
        .zeros([64, Math.ceil(total / 256)], { device })
        .add(1)
        .sum()
        .item();
    }, /^CUDA out of memory\. Tried to allocate [\d.]+ GiB\. GPU 0 has a total capacity of/);
    if (!(error instanceof cuda.OutOfMemoryError)) throw new Error(`not an OutOfMemoryError but ${error.name}`);
    equal(error.name, 'OutOfMemoryError');
    equal(keep.sum().item(), 1000, 'afterwards');
    // Many that do not fit together: garbage has to be found.
    let last = null;
    for (let i = 0; i < 12; i++) {
      last = torch.ones([64, Math.floor(total / 256 / 5)], { device });
      cuda.synchronize();
    }
    equal(last.narrow(1, 0, 10).sum().item(), 640, 'a large tensor after others');
    last = null;
    cuda.empty_cache();
    return error.message;
  });
  await check('events', () => {
    const [start, end] = [new cuda.Event({ enable_timing: true }), new cuda.Event({ enable_timing: true })];
    const x = torch.ones([16 * MiB], { device });
    cuda.synchronize();
    start.record();
    let y = x;
    for (let i = 0; i < 20; i++) {
      y = y.mul(1.5);
      end.record();
    }
    end.synchronize();
    equal(end.query(), true, 'query');
    const ms = start.elapsed_time(end);
    if (!(ms > 0.2 && ms < 1000)) throw new Error(`${ms} ms`);
    throws(() => new cuda.Event().elapsed_time(end), /enable_timing=True/);
    const stream = new cuda.Stream();
    stream.wait_stream(cuda.current_stream());
    equal(
      cuda.stream(stream, () => torch.ones([2], { device }).sum().item()),
      2,
      'in a stream',
    );
    stream.synchronize();
    equal(stream.query(), true, 'query of a stream');
    return `20 products of 64 MiB in ${ms.toFixed(2)} ms`;
  });
  await check('seeds', () => {
    cuda.manual_seed_all(5);
    const a = torch.rand([4], { device }).tolist();
    torch.manual_seed(5);
    equal(torch.rand([4]).tolist(), a, 'numbers');
  });
  if (cuda.device_count() > 1)
    await check('a second card', () => {
      const x = torch.arange(10, { device: 'cuda:1', dtype: torch.float32 });
      equal(x.device, 'cuda:1');
      const y = torch.ones([10], { device: 'cuda' });
      equal(x.mul(2).sum().item(), 90, 'on cuda:1');
      equal(y.add(x.to('cuda')).sum().item(), 55, 'on cuda:0');
      equal(
        torch
          .eye(64, { device: 'cuda:1' })
          .matmul(torch.ones([64, 64], { device: 'cuda:1' }))
          .sum()
          .item(),
        4096,
        'cuBLAS',
      );
      equal(
        torch
          .eye(64, { device: 'cuda' })
          .matmul(torch.ones([64, 64], { device: 'cuda' }))
          .sum()
          .item(),
        4096,
        'cuBLAS',
      );
      throws(() => x.add(y), /same device/);
      cuda.set_device(1);
      equal(torch.ones([2], { device: 'cuda' }).device, 'cuda:1', 'set_device');
      equal(
        cuda.device(0, () => torch.ones([2], { device: 'cuda' }).device),
        'cuda',
        'device(0)',
      );
      cuda.set_device(0);
      return cuda.get_device_name(1);
    });
  const inChild = (code, env) =>
    spawnSync(
      process.execPath,
      ['--input-type=module', '-e', `const { default: torch } = await import('${build}/src/index.js');\n${code}`],
      {
        encoding: 'utf8',
        env: { ...process.env, ...env },
      },
    );
  const fault = `
    const { engineOf } = await import('${build}/src/tensor/devices.js');
    const x = torch.ones([1000], { device: 'cuda' });
    const y = torch.ones([1000], { device: 'cuda' });
    torch.synchronize();
    // A block that is not memory of the card.
    x.storage.value.buffer.address = 4096;
    try { x.mul(2).add(y).sum().item(); } catch (error) { console.log(error.message); }`;
  await check('an error of a kernel names it', () => {
    const { stdout, stderr } = inChild(fault, {});
    if (!/CUDA error: .*\(CUDA_ERROR_ILLEGAL_ADDRESS\) in (the kernel|one of)/.test(stdout)) throw new Error(stdout + stderr);
    return stdout.trim().split('\n')[0].slice(0, 300);
  });
  await check('with CUDA_LAUNCH_BLOCKING=1 the one', () => {
    const { stdout, stderr } = inChild(fault, { CUDA_LAUNCH_BLOCKING: '1' });
    if (!/CUDA error: .*\(CUDA_ERROR_ILLEGAL_ADDRESS\) in the kernel/.test(stdout)) throw new Error(stdout + stderr);
    return stdout.trim().split('\n')[0].slice(0, 300);
  });
  await check('without a visible card', () => {
    const code = `console.log(torch.cuda.is_available(), torch.cuda.device_count(), torch.cuda.memory_allocated());
      try { torch.ones([1], { device: 'cuda' }); } catch (error) { console.log(error.message); }`;
    const { stdout, stderr } = inChild(code, { CUDA_VISIBLE_DEVICES: '' });
    if (!/^false 0 0\nThe cuda device cannot be used: /.test(stdout)) throw new Error(stdout + stderr);
    return stdout.split('\n')[1];
  });
}
console.log(`${failures} wrong; ${JSON.stringify(engineOf(device).backend.kernels?.statistics ?? {})}`);
process.exit(failures === 0 ? 0 : 1);
