import { test } from 'vitest';
import torch from '../src/index.ts';
import { flags } from '../src/util/flags.ts';
import { engineOf } from '../src/tensor/devices.ts';
import { printKernel } from '../src/kernel/print.ts';
import { execute } from './random-program.ts';
import { engine, naive } from './machines.ts';
test('x', () => {
  const p = {"shapes":[[2],[]],"body":[{"kind":"unary","a":0,"b":0,"c":0},{"kind":"unary","a":0,"b":0,"c":0},{"kind":"unary","a":0,"b":0,"c":0},{"kind":"fill","a":0,"b":0,"c":399},{"kind":"unsqueeze","a":0,"b":597,"c":0},{"kind":"binary","a":0,"b":233,"c":0},{"kind":"write","a":0,"b":0,"c":0},{"kind":"unary","a":0,"b":0,"c":0},{"kind":"matmul","a":182,"b":997,"c":0}]} as any;
  flags.trace='fusion';
  console.log(JSON.stringify(execute(p, naive)));
  console.log(JSON.stringify(execute(p, engine('cpu'))));
  const dims = (x: unknown): unknown => JSON.stringify(x);
  for (const st of engineOf('cpu').programs.last!.plan.steps) if (st.kind==='kernel') console.log(printKernel(st.kernel), st.buffers); else console.log(dims(st));
});
