import { test } from 'vitest';
import torch from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { generate, LlamaForCausalLM, llamaConfig } from './index.ts';
import { withoutWeights } from './layers.ts';
test('perf', { timeout: 300_000 }, async () => {
  const t0 = performance.now();
  const config = llamaConfig({ hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 2, num_attention_heads: 9, num_key_value_heads: 3, vocab_size: 49152, tie_word_embeddings: true });
  const model = withoutWeights(() => new LlamaForCausalLM(config));
  torch.no_grad(() => { for (const p of model.parameters()) { const full = torch.zeros([...p.shape]); full.add_(0.01); (p as any).storage = full.storage; (p as any).view_ = full.view_; (p as any).offset = full.offset; (p as any).version = full.version; } });
  torch.synchronize();
  console.log('made', performance.now() - t0);
  model.eval();
  const tokens = Array.from({ length: 40 }, (_, i) => i + 3);
  let last = performance.now();
  const times: number[] = [];
  for await (const _ of generate(model, tokens, { max_new_tokens: 24, stop_tokens: [] })) { times.push(performance.now() - last); last = performance.now(); }
  console.log(times.map((t) => t.toFixed(1)).join(' '), engineOf('cpu').programs.statistics);
  // host time of the forward alone
  const cache = model.make_cache(1, 256);
  const ids = torch.tensor([[5n]]);
  for (let r = 0; r < 6; r++) {
    const a = performance.now();
    const out = torch.no_grad(() => model(ids, { cache, position: 20 + r, logits_to_keep: 1 }));
    const b = performance.now();
    const v = out.logits.argmax(-1);
    const c = performance.now();
    v.item();
    console.log('record', (b - a).toFixed(2), 'flush', (performance.now() - c).toFixed(2), 'kernels', engineOf('cpu').programs.last?.plan.steps.length);
  }
});
