import { test } from 'vitest';
import torch from '../src/index.ts';
import { Gpt, languageLoss, makeOptimizer } from '../src/cli/gpt.ts';
import { flags } from '../src/util/flags.ts';
import { engineOf } from '../src/tensor/devices.ts';
import type { NullBackend } from '../src/backend/null/device.ts';
import { printKernel } from '../src/kernel/print.ts';
import { accessOf } from '../src/schedule/plan.ts';
import * as dims from '../src/shape/dim.ts';
test('x', () => {
  torch.set_default_device('null');
  const L = Number(process.env['L'] ?? 3);
  const model = new Gpt({ vocabulary: 96, layers: L, heads: 3, width: 96, context: 96 });
  const opt = makeOptimizer(model, 3e-3);
  const inputs = torch.tensor(new BigInt64Array(16*96)).view(16, 96);
  const targets = torch.tensor(new BigInt64Array(16*96)).view(16, 96);
  torch.synchronize();
  const engine = engineOf('null');
  const backend = engine.backend as NullBackend;
  const step = () => { const loss = languageLoss(model, inputs, targets); opt.zero_grad(); loss.backward(); opt.step(); };
  for (let i=0;i<5;i++) { backend.runs.length=0; const c0=engine.programs.statistics.compiled; const t=performance.now(); step(); console.log('step',i,'programs',backend.runs.length,'compiled',engine.programs.statistics.compiled-c0, (performance.now()-t).toFixed(1),'ms', backend.runs.map(r=>`launches ${r.launches} stages ${r.stages} moved ${r.bytesMoved} arena ${r.arenaBytes} least ${r.leastArenaBytes}`)); }
  const r = backend.runs.at(-1)!;
  if (process.env['K']) {
    const plan = r.plan;
    plan.steps.forEach((s, i) => {
      const a = accessOf(s);
      const size = (b: number) => { const p = plan.buffers[b]; return p.kind === 'temporary' ? `t${b}:${dims.evaluate(p.size, [])*p.dtype.itemsize/1024|0}K` : `${p.kind[0]}${b}`; };
      console.log(i, 'stage', plan.stages[i], s.kind, s.kind === 'kernel' ? s.kernel.name : s.kind === 'matmul' ? `${s.batch}x${dims.keyOf(s.m)}x${dims.keyOf(s.n)}x${dims.keyOf(s.k)}` : s.fn.name, '[', s.place, '] r:', a.reads.map(size).join(' '), 'w:', a.writes.map(size).join(' '));
      if (process.env['K'] === '2' && s.kind === 'kernel') console.log(printKernel(s.kernel));
    });
  }
  const fw = () => torch.no_grad(() => model(inputs));
  backend.runs.length=0; let y = fw(); torch.synchronize(); console.log('forward', backend.runs.map(r=>`launches ${r.launches} stages ${r.stages} moved ${r.bytesMoved}`)); void y;
  void flags;
});
