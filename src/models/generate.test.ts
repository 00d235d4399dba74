/** generate(): its protocol, when it stops, what it draws, and that it lets others live. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { collectGarbage } from '../backend/tracked-memory.ts';
import torch, { nn, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';
import {
  type GenerateOptions,
  type GenerationModel,
  type GenerationStep,
  generate,
  generateText,
  generationConfig,
  LlamaForCausalLM,
  llamaConfig,
  tokenizerFromGguf,
} from './index.ts';
import { gguf } from './test-support.ts';

async function collect<T>(tokens: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const token of tokens) out.push(token);
  return out;
}

const vocabulary = 10;
/** Says the successor of the last token, with certainty that falls off for the ones after it. */
class Counter extends nn.Module {
  generation_config: ReturnType<typeof generationConfig> | null = null;
  readonly calls: { tokens: number[][]; position: number; mask: number[][] | null }[] = [];
  override forward(input_ids: Tensor, step: GenerationStep<unknown>): Tensor {
    const { position, attention_mask } = step;
    this.calls.push({
      tokens: input_ids.tolist() as number[][],
      position,
      mask: attention_mask === null ? null : (attention_mask.tolist() as number[][]),
    });
    const distance = torch.arange(vocabulary).sub(input_ids.unsqueeze(-1)).sub(1).remainder(vocabulary);
    return distance.float().neg();
  }
}
/** The same with a cache: what it remembers is only how many tokens there were. */
class CachedCounter extends Counter {
  make_cache(batch: number, length: number): { batch: number; length: number } {
    return { batch, length };
  }
}

test('an option that nobody reads is refused in the words of transformers', async () => {
  const model = Object.assign(() => torch.zeros([1, 1, 3]), {}) as unknown as GenerationModel;
  const begin = (options: object): Promise<unknown> => generate(model, [1], options as GenerateOptions).next();
  await expect(begin({ max_new_token: 3, temprature: 1 })).rejects.toThrow(
    "The following `model_kwargs` are not used by the model: ['max_new_token', 'temprature'] (note: typos in the generate arguments will also show up in this list)",
  );
  await expect(begin({ max_new_tokens: 1 })).resolves.toEqual({ done: false, value: 0 });
});

describe('the protocol', () => {
  test('a module without a cache gets all tokens at every step', async () => {
    const model = new Counter();
    expect(await collect(generate(model, [3, 4], { max_new_tokens: 3 }))).toEqual([5, 6, 7]);
    expect(model.calls.map((call) => [call.tokens, call.position])).toEqual([
      [[[3, 4]], 0],
      [[[3, 4, 5]], 0],
      [[[3, 4, 5, 6]], 0],
    ]);
  });

  test('a module with a cache gets the new tokens and their position', async () => {
    const model = new CachedCounter();
    expect(await collect(generate(model, [3, 4], { max_new_tokens: 3 }))).toEqual([5, 6, 7]);
    expect(model.calls).toEqual([
      { tokens: [[3, 4]], position: 0, mask: null },
      { tokens: [[5]], position: 2, mask: null },
      { tokens: [[6]], position: 3, mask: null },
    ]);
  });

  test('shorter prompts of a batch are padded on the left, and a row that has ended is padded', async () => {
    const model = new CachedCounter();
    const steps = await collect(generate(model, [[1, 2, 3], [6]], { max_new_tokens: 4, stop_tokens: [7], pad_token_id: 0 }));
    expect(steps).toEqual([
      [4, 7],
      [5, 0],
      [6, 0],
      [7, 0],
    ]);
    expect(model.calls[0].mask).toEqual([
      [1, 1, 1],
      [0, 0, 1],
    ]);
    expect(model.calls[1].mask).toEqual([
      [1, 1, 1, 1],
      [0, 0, 1, 1],
    ]);
  });

  test('leaves the grad mode alone between steps', async () => {
    for await (const _ of generate(new Counter(), [1], { max_new_tokens: 2 })) expect(torch.is_grad_enabled()).toBe(true);
    expect(torch.is_grad_enabled()).toBe(true);
  });
});

describe('the end', () => {
  test('is a stop token, which is given, or max_new_tokens', async () => {
    expect(await collect(generate(new Counter(), [1], { stop_tokens: [4] }))).toEqual([2, 3, 4]);
    expect((await collect(generate(new Counter(), [1]))).length).toBe(128);
    expect(await collect(generate(new Counter(), [1], { max_new_tokens: 0 }))).toEqual([]);
  });

  test("is the model's own stop token unless others are given", async () => {
    const model = new Counter();
    model.generation_config = generationConfig({ eos_token_id: [5, 3] });
    expect(await collect(generate(model, [1], { max_new_tokens: 8 }))).toEqual([2, 3]);
    expect(await collect(generate(model, [1], { max_new_tokens: 3, stop_tokens: [] }))).toEqual([2, 3, 4]);
  });

  test('is an abort, whose reason is thrown', async () => {
    const controller = new AbortController();
    const got: number[] = [];
    const run = async (): Promise<void> => {
      for await (const token of generate(new Counter(), [1], { signal: controller.signal })) {
        got.push(token);
        if (got.length === 3) controller.abort(new Error('enough'));
      }
    };
    await expect(run()).rejects.toThrow('enough');
    expect(got).toEqual([2, 3, 4]);
    await expect(collect(generate(new Counter(), [1], { signal: AbortSignal.abort() }))).rejects.toThrow(/abort/);
  });

  test('comes to an abort during a step before its token is given', async () => {
    const controller = new AbortController();
    class Aborting extends Counter {
      override forward(input_ids: Tensor, step: GenerationStep<unknown>): Tensor {
        if (this.calls.length === 2) controller.abort(new Error('in the midst'));
        return super.forward(input_ids, step);
      }
    }
    const model = new Aborting();
    const got: number[] = [];
    const run = async (): Promise<void> => {
      for await (const token of generate(model, [1], { signal: controller.signal })) got.push(token);
    };
    await expect(run()).rejects.toThrow('in the midst');
    expect([got, model.calls.length]).toEqual([[2, 3], 3]);
  });

  test('disposes of the cache, whether it comes by itself, by break, by return() or by a failure', async () => {
    let disposed = 0;
    class Disposing extends Counter {
      make_cache(): Disposable {
        return { [Symbol.dispose]: () => void disposed++ };
      }
    }
    await collect(generate(new Disposing(), [1], { max_new_tokens: 3 }));
    expect(disposed).toBe(1);
    for await (const token of generate(new Disposing(), [1])) if (token === 4) break;
    expect(disposed).toBe(2);
    const tokens = generate(new Disposing(), [1]);
    await tokens.next();
    await tokens.return();
    expect(disposed).toBe(3);
    expect(await tokens.next()).toEqual({ done: true, value: undefined });
    class Failing extends Disposing {
      override forward(): Tensor {
        throw new Error('broken');
      }
    }
    await expect(collect(generate(new Failing(), [1]))).rejects.toThrow('broken');
    expect(disposed).toBe(4);
  });

  test("frees a Llama's cache although the iterator is kept", async () => {
    const config = { vocab_size: 64, hidden_size: 64, intermediate_size: 16, num_hidden_layers: 2, num_attention_heads: 2 };
    const model = new LlamaForCausalLM(llamaConfig(config)).eval();
    const { backend } = engineOf('cpu');
    // Finalizers run in turns of the event loop, after a collection.
    const live = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return backend.stats().liveBytes;
    };
    const tokens = generate(model, [1, 2], { max_new_tokens: 4000, stop_tokens: [] });
    await tokens.next();
    await tokens.next();
    // Two layers of keys and values for 4096 tokens of 64 numbers.
    const cacheBytes = 2 * 2 * 4096 * 64 * 4;
    const before = await live();
    await tokens.return();
    expect(before - (await live())).toBeGreaterThanOrEqual(cacheBytes);
    expect((await tokens.next()).done).toBe(true);
  });

  test('comes also to a timer while tokens are made as fast as they can be', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('time is up')), 50);
    const run = collect(generate(new Counter(), [1], { max_new_tokens: 10 ** 6, signal: controller.signal }));
    await expect(run).rejects.toThrow('time is up');
  });
});

/** Tokens are letters: a module that says the alphabet on and on. */
const letters = tokenizerFromGguf(gguf.bytes('gpt-2'));
const letter = (text: string): number => letters.convert_tokens_to_ids(text)!;
class Alphabet extends nn.Module {
  override forward(input_ids: Tensor): Tensor {
    const size = letters.convert_tokens_to_ids('<|user|>')! + 1;
    const next = torch.zeros(size, { dtype: torch.int64 });
    for (let i = 0; i < 26; i++)
      next.select(0, letter(String.fromCharCode(97 + i))).fill_(letter(String.fromCharCode(97 + ((i + 1) % 26))));
    return nn.functional
      .one_hot(next.index_select(0, input_ids.flatten()), size)
      .view(...input_ids.shape, size)
      .float();
  }
}

describe('stop strings', () => {
  test('end a row with the token that completes one', async () => {
    const tokens = await collect(generate(new Alphabet(), [letter('a')], { stop_strings: ['xyz', 'def'], tokenizer: letters }));
    expect(letters.decode(tokens)).toBe('bcdef');
    const rows = await collect(
      generate(new Alphabet(), [[letter('a')], [letter('d')]], { stop_strings: 'f', tokenizer: letters, pad_token_id: letter('!') }),
    );
    expect([0, 1].map((row) => letters.decode(rows.map((step) => step[row])))).toEqual(['bcdef', 'ef!!!']);
  });
  test('need a tokenizer, and text', async () => {
    await expect(collect(generate(new Alphabet(), [letter('a')], { stop_strings: 'x' }))).rejects.toThrow('could not locate a tokenizer');
    await expect(collect(generate(new Alphabet(), [letter('a')], { stop_strings: [''], tokenizer: letters }))).rejects.toThrow('not empty');
  });
});

describe('generateText()', () => {
  test('gives the text of the tokens, up to a stop string', async () => {
    const text = async (options: object): Promise<string[]> => collect(generateText(new Alphabet(), letters, [letter('a')], options));
    expect(await text({ max_new_tokens: 4 })).toEqual(['b', 'c', 'd', 'e']);
    expect(await text({ stop_strings: ['dea', 'ef'] })).toEqual(['b', 'c', 'd']);
    expect(await text({ stop_tokens: [letter('e')] })).toEqual(['b', 'c', 'd', 'e']);
    expect(await text({ max_new_tokens: 4, stop_strings: 'efg' })).toEqual(['b', 'c', 'd', 'e']);
  });
  test('encodes a text, and begins with BOS where there is none', async () => {
    const seen: number[][] = [];
    class Listening extends Alphabet {
      override forward(input_ids: Tensor): Tensor {
        seen.push((input_ids.tolist() as number[][])[0]);
        return super.forward(input_ids);
      }
    }
    await collect(generateText(new Listening(), letters, 'xy', { max_new_tokens: 1 }));
    await collect(generateText(new Listening(), letters, '', { max_new_tokens: 1 }));
    expect(seen).toEqual([letters.encode('xy'), [0]]);
  });
  test('ends where the tokenizer says when the model does not say, tells of tokens, and ends with an abort', async () => {
    class Ending extends Alphabet {
      override forward(input_ids: Tensor): Tensor {
        return super.forward(input_ids).roll(1 - letter('b'), -1);
      }
    }
    const tokens: number[] = [];
    const pieces = await collect(generateText(new Ending(), letters, [letter('a')], { on_token: (token) => tokens.push(token) }));
    expect([tokens, pieces]).toEqual([[1], []]);
    const aborted = collect(generateText(new Alphabet(), letters, 'a', { signal: AbortSignal.abort(new Error('no')) }));
    await expect(aborted).rejects.toThrow('no');
  });
});

describe('drawing', () => {
  const draws = (options: object): Promise<number[]> =>
    collect(generate(new Counter(), [1], { max_new_tokens: 20, temperature: 3, ...options }));

  test('is repeated by its seed, and differs by it', async () => {
    expect(await draws({ seed: 1 })).toEqual(await draws({ seed: 1 }));
    expect(await draws({ seed: 1 })).not.toEqual(await draws({ seed: 2 }));
    expect(await draws({ generator: new torch.Generator().manual_seed(1) })).toEqual(await draws({ seed: 1 }));
  });

  test('without a seed is from the default generator', async () => {
    torch.manual_seed(5);
    const first = await draws({});
    torch.manual_seed(5);
    expect(await draws({})).toEqual(first);
  });

  test('of one candidate is the likeliest token, whatever leaves one', async () => {
    const successors = Array.from({ length: 20 }, (_, i) => (i + 2) % vocabulary);
    for (const options of [{ temperature: 0 }, { top_k: 1 }, { top_p: 1e-6 }, { min_p: 1 }, { do_sample: false }])
      expect([options, await draws({ seed: 3, ...options })]).toEqual([options, successors]);
  });

  test('keeps to the k likeliest', async () => {
    const tokens = [1, ...(await draws({ seed: 4, top_k: 2, temperature: 100 }))];
    const steps = tokens.slice(1).map((token, i) => (token - tokens[i] + vocabulary) % vocabulary);
    expect(new Set(steps)).toEqual(new Set([1, 2]));
  });

  test('a repetition penalty keeps a model from saying what has been said', async () => {
    const tokens = await collect(generate(new Counter(), [7, 8, 9], { max_new_tokens: 9, repetition_penalty: 1000 }));
    // Logits are 0 for the likeliest, which no factor changes, and negative for the rest.
    expect(tokens).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    class Positive extends Counter {
      override forward(input_ids: Tensor, step: GenerationStep<unknown>): Tensor {
        return super.forward(input_ids, step).add(vocabulary).fmod(4);
      }
    }
    const plain = await collect(generate(new Positive(), [1], { max_new_tokens: 6 }));
    const penalized = await collect(generate(new Positive(), [1], { max_new_tokens: 6, repetition_penalty: 100 }));
    expect(new Set(plain).size).toBeLessThan(6);
    expect(new Set(penalized).size).toBe(6);
  });

  test.each([
    [{ temperature: -1 }, 'temperature should be at least 0, got -1'],
    [{ top_p: 0 }, 'top_p should be above 0 and at most 1, got 0'],
    [{ top_k: 1.5 }, 'top_k should be a whole number from 0, got 1.5'],
    [{ min_p: 2 }, 'min_p should be from 0 to 1, got 2'],
    [{ repetition_penalty: 0 }, 'repetition_penalty should be above 0, got 0'],
    [{ max_new_tokens: 1.5 }, 'max_new_tokens should be a whole number from 0, got 1.5'],
  ])('%j is refused', async (options, message) => {
    await expect(draws(options)).rejects.toThrow(message);
  });
});

describe('prompts', () => {
  test('that are empty, ragged in their mask, or of another shape are refused', async () => {
    const model = new Counter();
    const two = torch.tensor([[1n, 2n]]);
    await expect(collect(generate(model, []))).rejects.toThrow('at least one token in each row');
    await expect(collect(generate(model, [[1], []]))).rejects.toThrow('at least one token in each row');
    await expect(collect(generate(model, torch.tensor([1n])))).rejects.toThrow('input_ids should be [batch, length], got [1]');
    const mask = (row: bigint[]): Tensor => torch.tensor([row]);
    await expect(collect(generate(model, two, { attention_mask: mask([1n, 0n]) }))).rejects.toThrow('generation pads on the left');
    await expect(collect(generate(model, two, { attention_mask: mask([1n]) }))).rejects.toThrow('one for each token');
    await expect(collect(generate(model, [0.5]))).rejects.toThrow('whole numbers');
  });
});

test('a cache that is full says so', () => {
  const config = { vocab_size: 9, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const model = new LlamaForCausalLM(llamaConfig(config));
  const cache = model.make_cache(1, 4);
  const tokens = torch.tensor([[1n, 2n, 3n]]);
  torch.no_grad(() => model(tokens, { cache }));
  expect(() => torch.no_grad(() => model(tokens, { cache, position: 3 }))).toThrow('KVCache has room for 4 tokens, got tokens 3 to 5');
  expect(() => torch.no_grad(() => model(tokens.expand(2, 3), { cache }))).toThrow('KVCache was made for a batch of 1, got 2');
});

describe('four hundred tokens of a small Llama', () => {
  const { sweepBytes } = flags;
  afterEach(() => {
    flags.sweepBytes = sweepBytes;
  });
  test('compile nothing after the fourth, and hold no more memory than forty', async () => {
    const config = { vocab_size: 512, hidden_size: 16, intermediate_size: 16, num_hidden_layers: 2, num_attention_heads: 2 };
    const model = new LlamaForCausalLM(llamaConfig({ ...config, num_key_value_heads: 1 })).eval();
    flags.sweepBytes = 2 ** 15;
    const seen: { compiled: number; live: number }[] = [];
    for await (const _ of generate(model, [1, 2, 3], { max_new_tokens: 400, stop_tokens: [] })) {
      const { backend, programs } = engineOf('cpu');
      seen.push({ compiled: programs.statistics.compiled, live: backend.stats().liveBytes });
    }
    expect(seen[399].compiled).toBe(seen[3].compiled);
    const peak = (from: number, to: number): number => Math.max(...seen.slice(from, to).map(({ live }) => live));
    // Logits alone are 2 KiB a token: unswept they would be 720 KiB more.
    expect(peak(40, 400)).toBeLessThan(peak(4, 40) + 2 ** 17);
  });
});

describe('positions of a model', () => {
  class Positioned extends CachedCounter {
    readonly positions: { count: number; learned: boolean };
    readonly lengths: number[] = [];
    constructor(count: number, learned: boolean) {
      super();
      this.positions = { count, learned };
    }
    override make_cache(batch: number, length: number): { batch: number; length: number } {
      this.lengths.push(length);
      return super.make_cache(batch, length);
    }
  }

  test('end the text, and the cache is not made for more', async () => {
    for (const learned of [false, true]) {
      const model = new Positioned(300, learned);
      // The last token that is made is not read again.
      expect(await collect(generate(model, [1, 2, 3], { max_new_tokens: 1e6 }))).toHaveLength(298);
      expect(model.lengths).toEqual([512]);
    }
  });
  test('a prompt beyond them is an error where they are learned, else a remark', async () => {
    const prompt = Array.from({ length: 6 }, (_, i) => i);
    await expect(collect(generate(new Positioned(5, true), prompt))).rejects.toThrow(
      'the prompt has 6 tokens, the model has positions for 5',
    );
    const said = vi.spyOn(console, 'warn').mockImplementation(() => {});
    expect(await collect(generate(new Positioned(5, false), prompt, { max_new_tokens: 2 }))).toEqual([6, 7]);
    expect(said.mock.calls).toEqual([['the prompt has 6 tokens, the model was made for 5: what it says may make no sense']]);
    said.mockRestore();
  });
});
