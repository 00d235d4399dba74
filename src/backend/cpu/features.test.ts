import { describe, expect, test } from 'vitest';
import { bestIsa, type CpuFeatures, cpuFeatures, selectIsa } from './features.ts';

const cpuinfo = process.getBuiltinModule('node:fs').readFileSync('/proc/cpuinfo', 'utf8');

/** Our name of each feature and Linux's. */
const linuxFlags = {
  avx2: 'avx2',
  fma: 'fma',
  f16c: 'f16c',
  avx512f: 'avx512f',
  avx512bw: 'avx512bw',
  avx512dq: 'avx512dq',
  avx512vl: 'avx512vl',
  avx512Bf16: 'avx512_bf16',
  avx512Vnni: 'avx512_vnni',
  avx512Fp16: 'avx512_fp16',
  amxTile: 'amx_tile',
  amxBf16: 'amx_bf16',
  amxInt8: 'amx_int8',
} as const satisfies Partial<Record<keyof CpuFeatures, string>>;

describe('cpu features', () => {
  test.each(Object.entries(linuxFlags))('%s agrees with what Linux says of %s', (ours, theirs) => {
    const flags = /^flags\s*: (.*)$/m.exec(cpuinfo)![1].split(' ');
    expect(cpuFeatures()[ours as keyof typeof linuxFlags]).toBe(flags.includes(theirs));
  });

  test("the model is Linux's", () => {
    expect(cpuFeatures().model).toBe(/^model name\s*: (.*)$/m.exec(cpuinfo)![1].trim().replace(/\s+/g, ' '));
  });

  test('caches have plausible sizes', () => {
    const { l1DataBytes, l2Bytes, l3Bytes } = cpuFeatures();
    expect(l1DataBytes).toBeGreaterThanOrEqual(16 << 10);
    expect(l1DataBytes).toBeLessThanOrEqual(256 << 10);
    expect(l2Bytes).toBeGreaterThanOrEqual(l1DataBytes);
    expect(l3Bytes === 0 || l3Bytes >= l2Bytes).toBe(true);
  });

  test('avx512 needs its four parts, avx2 its three', () => {
    const all = { ...cpuFeatures(), avx2: true, fma: true, f16c: true, avx512f: true, avx512bw: true, avx512dq: true, avx512vl: true };
    expect(bestIsa(all)).toBe('avx512');
    for (const part of ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl']) expect(bestIsa({ ...all, [part]: false })).toBe('avx2');
    for (const part of ['avx2', 'fma', 'f16c']) expect(bestIsa({ ...all, [part]: false })).toBe('none');
  });

  test('MAGPIE_ISA forces the lesser and refuses what is not there', () => {
    const best = bestIsa(cpuFeatures());
    expect(selectIsa('')).toBe(best);
    expect(selectIsa('wasm')).toBe('none');
    if (best !== 'none') expect(selectIsa('avx2')).toBe('avx2');
    if (best === 'avx2') expect(() => selectIsa('avx512')).toThrow('does not have it');
    expect(() => selectIsa('sse9')).toThrow("got 'sse9'");
  });
});
