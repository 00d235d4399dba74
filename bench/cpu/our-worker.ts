/**
 * A process that measures this library for the suite `cpu`: JSON lines on standard input and output (`worker.ts` has the other end).
 * The number of threads comes with MAGPIE_THREADS. Outputs are sent as a sample of at most 50,000 elements each.
 */
import { createInterface } from 'node:readline';
import torch, { type Tensor } from '../../src/index.ts';
import { type Prepared, prepare } from './our-rows.ts';

type Request =
  | { readonly do: 'prepare'; readonly row: string; readonly file: string; readonly gguf?: string }
  | { readonly do: 'sample'; readonly budget: number }
  | { readonly do: 'release' };

const mostSampled = 50_000;

/** Every n-th element as float32, in base64. */
export function sampleOf(t: Tensor): { shape: readonly number[]; data: string } {
  const real = t.is_complex() ? torch.view_as_real(t) : t;
  const flat = real.detach().reshape(-1).float();
  const stride = Math.max(1, Math.ceil(flat.numel() / mostSampled)) | 1;
  const values = Float32Array.from(
    torch.no_grad(() => flat.as_strided([Math.ceil(flat.numel() / stride)], [stride]).contiguous()).tolist() as number[],
  );
  return { shape: t.shape, data: Buffer.from(values.buffer).toString('base64') };
}

let prepared: Prepared | undefined;

async function answer(request: Request): Promise<object> {
  switch (request.do) {
    case 'prepare': {
      prepared = prepare(request.row, request);
      const outputs = (await prepared.outputs()).map(sampleOf);
      await prepared.sample(0);
      return { outputs };
    }
    case 'sample':
      return prepared!.sample(request.budget);
    case 'release':
      prepared = undefined;
      return {};
    default:
      return request satisfies never;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = await answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
