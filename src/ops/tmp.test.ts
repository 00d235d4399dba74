import { test } from 'vitest';
import { readFileSync } from 'node:fs';
import torch from '../index.ts';
const r = JSON.parse(readFileSync('/work/main/src/ops/tmp.json', 'utf8'));
test('x', async () => {
  for (const device of ['reference', 'cpu', 'wasm']) {
    torch.set_default_device(device);
        const x = torch.tensor(r.x, { dtype: torch.float32});
        const d = torch.tensor(r.d, { dtype: torch.float32});
        const f = () => torch.div(x, d, { rounding_mode: 'floor' });
        const l = (f().reshape([-1]).tolist() as number[]);
        const rest = torch.fmod(x, d);
        const cond = rest.ne(0).logical_and(rest.lt(0).ne(d.lt(0)));
        const q = () => x.sub(torch.fmod(x, d)).div(d);
        const xs = x.tolist().flat() as number[]; const dv = d.item();
        const fm = xs.map((v) => Math.fround(v % dv));
        const fl = q().floor(); 
        const fmx = () => torch.fmod(x, d);
        const down = () => torch.where(fmx().ne(0).logical_and(fmx().lt(0).ne(d.lt(0))), q().sub(1), q());
        const near = () => torch.where(down().sub(down().floor()).gt(0.5), down().floor().add(1), down().floor());
        const out = {
          a: [torch.where(down().eq(0), x.div(d).mul(0), near()).sum().item()],
          b: [torch.where(d.eq(0), x.div(d), near()).sum().item()],
          c: [torch.where(d.eq(0), x.div(d), torch.where(down().eq(0), x.div(d).mul(0), near())).sum().item()],
          d: [torch.where(d.eq(0), x.div(d), torch.where(x.eq(0), x.div(d).mul(0), x)).sum().item(), x.sum().item()],
          e: [torch.where(d.eq(0), x, torch.where(x.eq(0), d, x)).sum().item(), x.sum().item()],
          g: [near().sum().item(), down().sum().item()],
        };
        console.log(device + JSON.stringify(out));
  }
});
