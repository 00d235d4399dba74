/**
 * Adapters against peft's answers (`peft.fixture.py`): what is drawn, what is trainable, logits, losses, files, merging; and what is refused.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { nn, optim, type Tensor } from '../index.ts';
import { BertForSequenceClassification, configFrom, GPT2LMHeadModel, generate, LlamaForCausalLM, type LMOutput } from '../models/index.ts';
import { load_file, save_file } from '../serialize/safetensors.ts';
import { get_peft_model, LoraConfig, LoraLinear, type LoraOptions, PeftModel } from './index.ts';

interface Case {
  readonly options: LoraOptions;
  readonly config: { readonly architectures: readonly string[] };
  readonly input_ids: number[][];
  readonly base: number[];
  readonly drawn: Readonly<Record<string, number[]>>;
  readonly trainable: string[];
  readonly counts: number[];
  readonly adapted: number[];
  readonly losses: number[];
  readonly trained: number[];
  readonly merged: number[];
  readonly adapter_config: Readonly<Record<string, unknown>>;
  /** The file, base64. */
  readonly adapter_model: string;
}
const cases = JSON.parse(readFileSync(new URL('./peft.fixture.json', import.meta.url), 'utf8')) as Record<string, Case>;

const scratch = mkdtempSync(join(tmpdir(), 'magpie-peft-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const newFolder = (): string => join(scratch, `${folders++}`);

function hash(i: number, seed: number): number {
  let h = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca77)) >>> 0;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d) >>> 0;
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39) >>> 0;
  return (h ^ (h >>> 15)) >>> 0;
}
function fill(named: readonly [string, Tensor][], scale: number): void {
  [...named]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .forEach(([name, parameter], seed) => {
      const one = /norm|\.ln_/i.test(name) && name.endsWith('weight') ? 1 : 0;
      const values = Float32Array.from(
        { length: parameter.numel() },
        (_, i) => Math.fround(((hash(i, seed) >>> 8) / 2 ** 24) * 2 * scale - scale) + one,
      );
      torch.no_grad(() => parameter.copy_(torch.tensor(values).view(...parameter.shape)));
    });
}

type Model = GPT2LMHeadModel | LlamaForCausalLM | BertForSequenceClassification;
function baseOf({ config }: Case): Model {
  const read = configFrom(config, 'config.json');
  const model =
    read.model_type === 'gpt2'
      ? new GPT2LMHeadModel(read)
      : read.model_type === 'bert'
        ? new BertForSequenceClassification(read)
        : new LlamaForCausalLM(read);
  fill(model.named_parameters(), 0.25);
  return model.eval();
}
type Called = (ids: Tensor, options?: object) => LMOutput;
function expectLogits(model: unknown, { input_ids }: Case, expected: readonly number[], tolerance = 2e-5): void {
  const { logits } = torch.no_grad(() => (model as Called)(torch.tensor(input_ids, { dtype: torch.int64 })));
  const got = [...((logits.dim() === 3 ? logits.select(1, -1) : logits).reshape(-1).float().numpy() as Float32Array)];
  expect(got.length).toBe(expected.length);
  expect(Math.max(...got.map((x, i) => Math.abs(x - expected[i])))).toBeLessThan(tolerance * Math.max(1, ...expected.map(Math.abs)));
}
/** A folder as peft wrote it. */
function folderOf({ adapter_config, adapter_model }: Case, change: Readonly<Record<string, unknown>> = {}): string {
  const folder = mkdtempSync(join(scratch, 'peft-'));
  writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...adapter_config, ...change }));
  writeFileSync(join(folder, 'adapter_model.safetensors'), Buffer.from(adapter_model, 'base64'));
  return folder;
}
const adaptersOf = (model: PeftModel): [string, Tensor][] => model.named_parameters().filter(([name]) => name.includes('lora_'));
const labelsOf = (c: Case): Tensor =>
  torch.tensor(c.config.architectures[0].startsWith('Bert') ? [2, 0] : c.input_ids, { dtype: torch.int64 });

describe.each(Object.entries(cases))('%s', (name, c) => {
  test('draws what peft draws from the same seed, trains what it trains, and changes nothing at first', () => {
    const base = baseOf(c);
    torch.manual_seed(5);
    const model = get_peft_model(base, c.options);
    for (const [key, parameter] of adaptersOf(model as PeftModel)) {
      const first = [...(parameter.detach().flatten().numpy() as Float32Array).subarray(0, 3)];
      expect(Math.max(...first.map((x, i) => Math.abs(x - c.drawn[key][i]))), key).toBeLessThan(1e-6);
    }
    const trainable = model.named_parameters().flatMap(([key, p]) => (p.requires_grad ? [key] : []));
    expect(trainable.sort()).toEqual(c.trainable);
    expect(model.get_nb_trainable_parameters()).toEqual(c.counts);
    if (c.options.init_lora_weights !== false) expectLogits(model, c, c.base);
  });

  test('has the logits and the losses of eight AdamW steps that peft has', () => {
    const model = get_peft_model(baseOf(c), c.options);
    fill(adaptersOf(model as PeftModel), 0.2);
    expectLogits(model, c, c.adapted);
    const optimizer = new optim.AdamW(
      model.parameters().filter((p) => p.requires_grad),
      { lr: 5e-3, weight_decay: 0.01 },
    );
    const input_ids = torch.tensor(c.input_ids, { dtype: torch.int64 });
    const losses = c.losses.map(() => {
      const loss = (model as unknown as Called)(input_ids, { labels: labelsOf(c) }).loss!;
      optimizer.zero_grad();
      loss.backward();
      optimizer.step();
      return loss.item();
    });
    expect(Math.max(...losses.map((x, i) => Math.abs(x - c.losses[i])))).toBeLessThan(1e-4);
    expectLogits(model, c, c.trained, 1e-3);
  });

  test("reads peft's files, and writes the same bytes", () => {
    const model = PeftModel.from_pretrained(baseOf(c), folderOf(c));
    expectLogits(model, c, c.trained);
    expect(model.parameters().some((p) => p.requires_grad)).toBe(false);
    const folder = newFolder();
    model.save_pretrained(folder);
    expect(readFileSync(join(folder, 'adapter_model.safetensors')).toString('base64')).toBe(c.adapter_model);
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    const sorted = (x: unknown): unknown => (Array.isArray(x) ? [...(x as unknown[])].sort() : x);
    for (const [key, value] of Object.entries(config))
      if (key !== 'auto_mapping' && key !== 'base_model_name_or_path')
        expect([key, sorted(value)]).toEqual([key, sorted(c.adapter_config[key])]);
    expectLogits(PeftModel.from_pretrained(baseOf(c), folder), c, c.trained);
  });

  test('merges to the same logits, and back', () => {
    const base = baseOf(c);
    const before = new Map([...base.state_dict()].map(([key, t]) => [key, t.clone()]));
    const model = PeftModel.from_pretrained(base, folderOf(c));
    model.merge_adapter();
    expectLogits(model, c, c.merged);
    model.unmerge_adapter();
    expectLogits(model, c, c.trained);
    expectLogits(model.merge_and_unload(), c, c.merged);
    expect([...base.state_dict().keys()]).toEqual([...before.keys()]);
    expect(base.modules().some((m) => m instanceof LoraLinear)).toBe(false);
    base.save_pretrained(newFolder());
  });

  test('can be turned off, and taken out', () => {
    const base = baseOf(c);
    const model = PeftModel.from_pretrained(base, folderOf(c));
    const biased = c.options.bias !== undefined && c.options.bias !== 'none';
    if (!biased) model.disable_adapter(() => expectLogits(model, c, c.base));
    expectLogits(model, c, c.trained);
    expect(() =>
      model.disable_adapter(() => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expectLogits(model, c, c.trained);
    model.merge_adapter();
    if (!biased) model.disable_adapter(() => expectLogits(model, c, c.base));
    expect(model.unload()).toBe(base);
    if (!biased) expectLogits(base, c, c.base);
    expect(name).not.toBe('');
  });
});

const llamaCase = cases["llama, peft's own choice"];
const gpt2Case = cases['gpt2, Conv1D'];

describe('a model with adapters', () => {
  test('is generated from as the model is', async () => {
    const base = baseOf(llamaCase) as LlamaForCausalLM;
    const prompt = llamaCase.input_ids[0];
    const collect = async (model: PeftModel<LlamaForCausalLM> | LlamaForCausalLM): Promise<number[]> => {
      const tokens: number[] = [];
      for await (const token of generate(model, prompt, { max_new_tokens: 8, stop_tokens: [] })) tokens.push(token);
      return tokens;
    };
    const plain = await collect(base);
    const model = PeftModel.from_pretrained(base, folderOf(llamaCase));
    const adapted = await collect(model);
    expect(adapted).not.toEqual(plain);
    expect(await model.disable_adapter(() => collect(model))).toEqual(plain);
    expect(await collect(model)).toEqual(adapted);
    expect(await collect(model.merge_and_unload())).toEqual(adapted);
  });

  test('is trained on wasm as on cpu', () => {
    const losses = ['cpu', 'wasm'].map((device) => {
      const model = get_peft_model(baseOf(llamaCase).to(device), llamaCase.options);
      fill(adaptersOf(model as PeftModel), 0.2);
      expect(new Set(model.parameters().map((p) => p.device))).toEqual(new Set([device]));
      const optimizer = new optim.AdamW(
        model.parameters().filter((p) => p.requires_grad),
        { lr: 5e-3, weight_decay: 0.01 },
      );
      const input_ids = torch.tensor(llamaCase.input_ids, { dtype: torch.int64, device });
      return llamaCase.losses.map(() => {
        const loss = (model as unknown as Called)(input_ids, { labels: input_ids }).loss!;
        optimizer.zero_grad();
        loss.backward();
        optimizer.step();
        return loss.item();
      });
    });
    for (const run of losses) expect(Math.max(...run.map((x, i) => Math.abs(x - llamaCase.losses[i])))).toBeLessThan(1e-4);
  });

  test('in bfloat16 keeps its dtype, and its adapters are float32', () => {
    const model = get_peft_model(baseOf(llamaCase).bfloat16(), { r: 2 });
    expect(new Set(adaptersOf(model as PeftModel).map(([, p]) => p.dtype.name))).toEqual(new Set(['float32']));
    const { logits } = (model as unknown as Called)(torch.tensor(llamaCase.input_ids, { dtype: torch.int64 }));
    expect(logits.dtype).toBe(torch.bfloat16);
    model.merge_adapter();
    expect(
      model
        .get_base_model()
        .parameters()
        .filter((p) => p.dtype !== torch.bfloat16).length,
    ).toBe(adaptersOf(model as PeftModel).length);
  });

  test('drops out its inputs only while it trains', () => {
    const model = get_peft_model(baseOf(llamaCase), { r: 2, lora_dropout: 0.5 });
    fill(adaptersOf(model as PeftModel), 0.2);
    const ids = torch.tensor(llamaCase.input_ids, { dtype: torch.int64 });
    const twice = (): boolean =>
      torch.no_grad(() => torch.equal((model as unknown as Called)(ids).logits, (model as unknown as Called)(ids).logits));
    model.train();
    expect(twice()).toBe(false);
    model.eval();
    expect(twice()).toBe(true);
  });

  test('may have several, each saved in a folder of its own', () => {
    const model = get_peft_model(baseOf(llamaCase), { r: 2 });
    model.add_adapter('second', { r: 4, target_modules: ['k_proj', 'v_proj'] });
    fill(adaptersOf(model as PeftModel), 0.2);
    const ids = torch.tensor(llamaCase.input_ids, { dtype: torch.int64 });
    const logits = (): Tensor => torch.no_grad(() => (model as unknown as Called)(ids).logits);
    const first = logits();
    expect(model.named_parameters().filter(([name, p]) => p.requires_grad !== name.includes('.default.')).length).toBe(0);
    model.set_adapter('second');
    const second = logits();
    expect(torch.allclose(first, second)).toBe(false);
    const folder = newFolder();
    model.save_pretrained(folder);
    const again = PeftModel.from_pretrained(baseOf(llamaCase), folder);
    again.load_adapter(join(folder, 'second'), 'other');
    expect(
      torch.equal(
        torch.no_grad(() => (again as unknown as Called)(ids).logits),
        first,
      ),
    ).toBe(true);
    again.set_adapter('other');
    expect(
      torch.equal(
        torch.no_grad(() => (again as unknown as Called)(ids).logits),
        second,
      ),
    ).toBe(true);
    model.delete_adapter('second');
    expect(() => model.set_adapter('second')).toThrow('Adapter second not found.');
  });

  test('copies whole', () => {
    const model = PeftModel.from_pretrained(baseOf(llamaCase), folderOf(llamaCase));
    const copy = model.deepcopy();
    expectLogits(copy, llamaCase, llamaCase.trained);
    copy.unload();
    expectLogits(model, llamaCase, llamaCase.trained);
  });

  test('says what it trains in words of peft', () => {
    const lines: string[] = [];
    const { log } = console;
    console.log = (line: string) => lines.push(line);
    try {
      get_peft_model(baseOf(gpt2Case), gpt2Case.options).print_trainable_parameters();
    } finally {
      console.log = log;
    }
    const [trainable, all] = gpt2Case.counts;
    expect(lines).toEqual([
      `trainable params: ${trainable.toLocaleString('en-US')} || all params: ${all.toLocaleString('en-US')} || trainable%: ${((100 * trainable) / all).toFixed(4)}`,
    ]);
  });
});

/** Stands for a layer whose weight is in blocks. */
class Quantized extends nn.Module {
  in_features = 3;
  out_features = 2;
  blocks = torch.tensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { dtype: torch.uint8 },
  );
  override forward(x: Tensor): Tensor {
    return x.matmul(this.blocks.float().t());
  }
}
class Small extends nn.Module {
  quantized = new Quantized();
  plain = new nn.Linear(2, 2);
  override forward(x: Tensor): Tensor {
    return this.plain(this.quantized(x));
  }
}

describe('a layer whose weight is quantized', () => {
  test('gets an adapter, through which gradients flow, but nothing is merged into it', () => {
    const model = get_peft_model(new Small(), { r: 1, target_modules: ['quantized', 'plain'] });
    fill(adaptersOf(model as PeftModel), 0.2);
    model(torch.ones(1, 3)).sum().backward();
    const [A] = adaptersOf(model as PeftModel)[0].slice(1) as [Tensor];
    expect(A.grad!.abs().sum().item()).toBeGreaterThan(0);
    const before = model(torch.ones(1, 3)).tolist();
    expect(() => model.merge_adapter()).toThrow('cannot merge an adapter into quantized, a Quantized: its weight is quantized.');
    expect(model(torch.ones(1, 3)).tolist()).toEqual(before);
  });
});

describe('what does not fit is named', () => {
  test.each<[string, LoraOptions, string]>([
    [
      'targets that are not there',
      { target_modules: ['nope'] },
      "Target modules {'nope'} not found in the base model. Please check the target modules and try again.",
    ],
    [
      'targets of another kind',
      { target_modules: ['q_proj', 'norm'] },
      'Target module model.norm (RMSNorm) is not supported. Currently, only',
    ],
    ['a broken regular expression', { target_modules: '(' }, 'target_modules: Invalid regular expression'],
    ['a rank of 0', { r: 0 }, '`r` should be a positive integer value but the value passed is 0'],
    ['biases of another kind', { bias: 'some' as 'all' }, 'Requested bias: some, is not implemented.'],
  ])('%s', (_, options, message) => {
    const base = baseOf(llamaCase);
    expect(() => get_peft_model(base, options)).toThrow(message);
    expect(base.modules().some((m) => m instanceof LoraLinear)).toBe(false);
  });

  test('a module of no known type needs target_modules; a model gets adapters once', () => {
    expect(() => get_peft_model(new Small(), {})).toThrow('Please specify `target_modules` in `peft_config`');
    const base = baseOf(llamaCase);
    get_peft_model(base, {});
    expect(() => get_peft_model(base, {})).toThrow('this model has adapters already');
  });

  test('a weight with two names is not merged into', () => {
    const base = baseOf({ ...llamaCase, config: { ...llamaCase.config, tie_word_embeddings: true } as never });
    const model = get_peft_model(base, { r: 1, target_modules: ['lm_head'] });
    expect(() => model.merge_adapter()).toThrow('cannot merge an adapter into lm_head: its weight is also model.embed_tokens.weight');
  });

  test('tensors of a file that are missing, of no use, or of another shape', () => {
    const folder = folderOf(llamaCase);
    const file = join(folder, 'adapter_model.safetensors');
    const tensors = load_file(file);
    const [first, second, third] = [...tensors.keys()];
    tensors.delete(first);
    tensors.set(second, torch.zeros(1, 1));
    tensors.set('base_model.model.extra', tensors.get(third)!);
    save_file(tensors, file);
    const base = baseOf(llamaCase);
    const message = (() => {
      try {
        PeftModel.from_pretrained(base, folder);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    expect(message).toContain(`Missing key(s) in state_dict: "${first}".`);
    expect(message).toContain('Unexpected key(s) in state_dict: "base_model.model.extra".');
    expect(message).toContain(`size mismatch for ${second}: copying a param with shape torch.Size([1, 1]) from checkpoint`);
    expect(message).toContain(file);
    expectLogits(base, llamaCase, llamaCase.base);
  });

  test.each([
    [{ peft_type: 'IA3' }, '"peft_type" should be one of LORA, got "IA3"'],
    [{ use_dora: true }, '"use_dora" should be null or false (not supported here), got true'],
    [{ r: -1 }, '"r" should be a positive integer, got -1'],
    [{ r: 1e6 }, '"r" should be at most 65536'],
    [{ target_modules: [1] }, '"target_modules" should be a list of names, got [1]'],
    [{ init_lora_weights: 'pissa' }, '"init_lora_weights" should be one that leaves the weights of the base as they are'],
    [{ rank_pattern: { a: 'x' } }, '"rank_pattern" should be an object of numbers'],
  ])('a config with %j', (change, message) => {
    const folder = folderOf(llamaCase, change);
    expect(() => PeftModel.from_pretrained(baseOf(llamaCase), folder)).toThrow(`${join(folder, 'adapter_config.json')}: ${message}`);
  });

  test('a folder without an adapter', () => {
    expect(() => PeftModel.from_pretrained(baseOf(llamaCase), scratch)).toThrow(`Can't find 'adapter_config.json' at '${scratch}'`);
  });
});

test('LoraConfig has the defaults of peft', () => {
  const { r, lora_alpha, lora_dropout, bias, use_rslora, task_type, target_modules } = new LoraConfig();
  expect({ r, lora_alpha, lora_dropout, bias, use_rslora, task_type, target_modules }).toEqual({
    ...{ r: 8, lora_alpha: 8, lora_dropout: 0, bias: 'none', use_rslora: false, task_type: null, target_modules: null },
  });
});

describe('what a config says that is not understood', () => {
  const model = (): LlamaForCausalLM =>
    baseOf(Object.values(cases).find(({ config }) => config.architectures[0].startsWith('Llama'))!) as LlamaForCausalLM;
  test('is refused by name', () => {
    expect(() => get_peft_model(model(), { target_module: ['q_proj'] } as LoraOptions)).toThrow(
      "LoraConfig.__init__() got an unexpected keyword argument 'target_module'",
    );
    expect(() => new LoraConfig({ use_dora: true } as LoraOptions)).toThrow('LoraConfig: use_dora is not supported here');
    const made = get_peft_model(model(), { target_modules: ['q_proj'] });
    expect(() => made.merge_and_unload({ safe: true } as object)).toThrow("merge_adapter() got an unexpected keyword argument 'safe'");
    expect(() => made.save_pretrained(newFolder(), { adapters: [] } as object)).toThrow("unexpected keyword argument 'adapters'");
  });
  test('and backtracks without end is ended, by name, with the model as it was', () => {
    const base = model();
    const before = base.named_modules().map(([name]) => name);
    const evil = '((\\w|\\.|\\d)+)+!';
    for (const options of [{ target_modules: evil }, { target_modules: ['q_proj'], rank_pattern: { [evil]: 4 } }])
      expect(() => get_peft_model(base, options)).toThrow(/^the config: looking for modules took more than 5 s/);
    expect(base.named_modules().map(([name]) => name)).toEqual(before);
    const folder = newFolder();
    get_peft_model(model(), { target_modules: ['q_proj'] }).save_pretrained(folder);
    const file = join(folder, 'adapter_config.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), target_modules: evil }));
    expect(() => PeftModel.from_pretrained(model(), folder)).toThrow(`${file}: looking for modules took more than 5 s`);
  }, 60_000);
});
