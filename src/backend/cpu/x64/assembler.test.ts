import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { listingForms, listingLine } from '../../../../scripts/x64-listing-forms.ts';
import { disassemble, objdumpMissing } from '../../../../scripts/x64-objdump.ts';
import { Assembler, instructionRows, mem, r10, r12, rax, rcx, rdi, rsp } from './assembler.ts';
import { IntegerAssembler } from './integer.ts';

function hex(write: (a: Assembler) => void, isa: 'avx2' | 'avx512' = 'avx512'): string {
  const a = new Assembler(isa);
  write(a);
  return Buffer.from(a.finish()).toString('hex');
}

describe('recorded listing', () => {
  const recorded = readFileSync(new URL('./listing.txt', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  const assembled = listingForms().map(listingLine);

  test('every form is assembled to the bytes that objdump read as the intended text', () => {
    const differences = assembled.flatMap((line, at) => (line === recorded[at] ? [] : [{ assembled: line, recorded: recorded[at] }]));
    expect(differences.slice(0, 10)).toEqual([]);
    expect(assembled.length).toBe(recorded.length);
  });

  test('objdump, where it is installed, reads every form of the listing as its text', (context) => {
    const missing = objdumpMissing();
    if (missing !== null) return context.skip(missing);
    const forms = recorded.map((line) => {
      const [hexBytes, text] = line.split('  ') as [string, string];
      return { bytes: Buffer.from(hexBytes.replaceAll(' ', ''), 'hex'), text };
    });
    const read = disassemble(forms.map(({ bytes }) => bytes));
    const differences = forms.flatMap(({ bytes, text }, i) =>
      read[i]?.text === text && read[i]?.size === bytes.length ? [] : [{ text, objdump: read[i] }],
    );
    expect(differences.slice(0, 10)).toEqual([]);
    // A reader that is asked for another instruction says so.
    expect(disassemble([Uint8Array.of(0x48, 0x01, 0xc8)])).toEqual([{ text: 'add rax,rcx', size: 3 }]);
  });

  test('every instruction of the integer assembler is in the listing, but for those whose operand is a place in the code (tested below)', () => {
    const methods = Object.getOwnPropertyNames(IntegerAssembler.prototype).filter((name) => name !== 'constructor');
    const prototype = IntegerAssembler.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
    const called = new Set<string>();
    const originals = methods.map((name) => Object.getOwnPropertyDescriptor(prototype, name)!);
    methods.forEach((name, i) => {
      const original = originals[i]!.value as unknown;
      if (typeof original !== 'function') return;
      prototype[name] = function (this: unknown, ...args: unknown[]) {
        called.add(name);
        return original.apply(this, args) as unknown;
      };
    });
    try {
      listingForms();
    } finally {
      methods.forEach((name, i) => {
        Object.defineProperty(prototype, name, originals[i]!);
      });
    }
    const unseen = methods.filter((name, i) => typeof originals[i]!.value === 'function' && !called.has(name));
    expect(unseen.sort()).toEqual(['align', 'data', 'jcc', 'leaRip']);
  });

  test('the listing covers every mnemonic of the tables', () => {
    const mnemonics = new Set(
      recorded.map((line) =>
        line
          .split('  ')[1]!
          .split(' ')[0]!
          .replace(/^(vp?cmp)lt/, '$1'),
      ),
    );
    const rows = [...instructionRows.values()].flat();
    const names = rows.flatMap((row) => [...(row.vexW === null ? [] : [row.vexName]), ...(row.evexW === null ? [] : [row.evexName])]);
    expect(names.filter((name) => !mnemonics.has(name))).toEqual([]);
  });

  test('compare-to-mask and compare-to-vector forms are both recorded', () => {
    expect(recorded.some((line) => line.includes('vcmpltps xmm'))).toBe(true);
    expect(recorded.some((line) => line.includes('vcmpltps k'))).toBe(true);
  });
});

describe('labels and data', () => {
  test('a forward branch is patched when its label is bound', () => {
    const code = hex((a) => {
      const done = a.newLabel();
      a.jcc('ne', done);
      a.ret();
      a.bind(done);
      a.ret();
    });
    expect(code).toBe('0f8501000000' + 'c3' + 'c3');
  });

  test('a backward branch, a jump and a call count from their own ends', () => {
    const code = hex((a) => {
      const top = a.newLabel();
      a.bind(top);
      a.dec(rcx);
      a.jcc('nz', top);
      a.jmp(top);
      a.call(top);
    });
    expect(code).toBe('48ffc9' + '0f85f7ffffff' + 'e9f2ffffff' + 'e8edffffff');
  });

  test('pool data lies behind the code at its alignment, equal constants once', () => {
    const a = new Assembler('avx2');
    const one = Uint8Array.of(1, 2, 3, 4);
    a.vbroadcastss('ymm', 0, mem(a.data(one, 4)));
    a.vmovups('ymm', 1, mem(a.data(new Uint8Array(32).fill(7), 32)));
    a.vbroadcastss('ymm', 2, mem(a.data(one, 4)));
    a.leaRip(rax, a.data(one, 4));
    a.ret();
    const bytes = a.finish();
    // 34 bytes of code, padding to 64, the 32-byte constant, the 4-byte one.
    expect(bytes.length).toBe(100);
    expect([...bytes.slice(64, 96)]).toEqual(new Array(32).fill(7));
    expect([...bytes.slice(96)]).toEqual([1, 2, 3, 4]);
    const view = new DataView(bytes.buffer);
    // A displacement counts from the end of its instruction; those ends are 9, 17, 26 and 33.
    expect([9, 17, 26, 33].map((end) => end + view.getInt32(end - 4, true))).toEqual([96, 64, 96, 96]);
  });

  test('alignment is filled with long nops', () => {
    expect(
      hex((a) => {
        a.ret();
        a.align(16);
        a.ret();
      }),
    ).toBe('c3' + '660f1f840000000000' + '660f1f440000' + 'c3');
  });

  test('unbound, doubly bound and foreign labels are refused', () => {
    const a = new Assembler('avx2');
    const label = a.newLabel();
    a.jmp(label);
    expect(() => a.finish()).toThrow('internal: label 0 is used but never bound');
    const b = new Assembler('avx2');
    const bound = b.newLabel();
    b.bind(bound);
    expect(() => b.bind(bound)).toThrow('internal: label 0 is bound twice');
    expect(() => b.bind({ kind: 'label', id: 9 })).toThrow('internal: label of another assembler');
  });

  test('code longer than the first buffer keeps its bytes', () => {
    const a = new Assembler('avx2');
    const top = a.newLabel();
    a.bind(top);
    for (let i = 0; i < 5000; i++) a.cqo();
    a.jmp(top);
    const bytes = a.finish();
    expect(bytes.length).toBe(10005);
    expect(new DataView(bytes.buffer).getInt32(10001, true)).toBe(-10005);
    expect([...bytes.slice(9998, 10000)]).toEqual([0x48, 0x99]);
  });
});

describe('choice of encoding', () => {
  test('the same call is VEX for low registers and EVEX for what VEX cannot say', () => {
    const prefix = (write: (a: Assembler) => void): string => hex(write).slice(0, 2);
    expect(prefix((a) => a.vaddps('ymm', 1, 2, 3))).toBe('c5');
    expect(prefix((a) => a.vaddps('ymm', 1, 2, 16))).toBe('62');
    expect(prefix((a) => a.vaddps('zmm', 1, 2, 3))).toBe('62');
    expect(prefix((a) => a.vaddps('ymm', 1, 2, 3, { mask: 1 }))).toBe('62');
    expect(prefix((a) => a.vaddps('ymm', 1, 2, mem(rax), { broadcast: true }))).toBe('62');
    expect(prefix((a) => a.vpslld('ymm', 1, 2, 3))).toBe('c5');
    expect(prefix((a) => a.vpslld('ymm', 1, mem(rax), 3))).toBe('62');
  });

  test('displacements are compressed by the operand size, not by the vector length, under broadcast', () => {
    expect(hex((a) => a.vaddps('zmm', 0, 0, mem(rax, 64)))).toBe('62f17c48584001');
    expect(hex((a) => a.vaddps('zmm', 0, 0, mem(rax, 4), { broadcast: true }))).toBe('62f17c58584001');
    expect(hex((a) => a.vaddps('zmm', 0, 0, mem(rax, 4)))).toBe('62f17c48588004000000');
  });

  test('an AVX2 target refuses what needs AVX-512', () => {
    const a = new Assembler('avx2');
    expect(() => a.vaddps('zmm', 0, 0, 0)).toThrow('internal: vaddps needs AVX-512');
    expect(() => a.vaddps('ymm', 0, 0, 16)).toThrow('internal: vaddps needs AVX-512');
    expect(() => a.vaddps('ymm', 0, 0, 0, { mask: 1 })).toThrow('internal: vaddps needs AVX-512');
    expect(() => a.vpmullq('ymm', 0, 0, 0)).toThrow('internal: vpmullq needs AVX-512');
    expect(() => a.kmovw(1, rax)).toThrow('internal: kmovw needs AVX-512');
    expect(a.length).toBe(0);
  });

  test('an AVX2 target takes the sized logical and move names', () => {
    const same = (left: (a: Assembler) => void, right: (a: Assembler) => void): void => expect(hex(left, 'avx2')).toBe(hex(right, 'avx2'));
    same(
      (a) => a.vpandd('ymm', 1, 2, 3),
      (a) => a.vpand('ymm', 1, 2, 3),
    );
    same(
      (a) => a.vmovdqu8('ymm', 1, mem(rdi, 4)),
      (a) => a.vmovdqu('ymm', 1, mem(rdi, 4)),
    );
    same(
      (a) => a.vextractf32x4('ymm', 1, 2, 1),
      (a) => a.vextractf128('ymm', 1, 2, 1),
    );
  });
});

describe('refusals', () => {
  test('operands that no encoding can express are internal errors', () => {
    const a = new Assembler('avx512');
    expect(() => mem(rax, 0, rsp)).toThrow('internal: rsp cannot be an index register');
    expect(() => mem(rax, 2 ** 31)).toThrow('does not fit 32 bits');
    expect(() => a.vaddps('xmm', 32, 0, 0)).toThrow('internal: vaddps operand 0 is 32');
    expect(() => a.vpermd('xmm', 0, 0, 0)).toThrow('internal: vpermd has no xmm form');
    expect(() => a.vmovups('zmm', mem(rax), 1, { mask: 1, zero: true })).toThrow('cannot zero');
    expect(() => a.vaddps('zmm', 0, 0, 0, { broadcast: true })).toThrow('no broadcast');
    expect(() => a.vpaddb('zmm', 0, 0, mem(rax), { broadcast: true })).toThrow('no broadcast');
    expect(() => a.vgatherdps('zmm', 1, mem(rax, 0, 2, 4))).toThrow('needs a mask');
    expect(() => a.vgatherdps('zmm', 2, mem(rax, 0, 2, 4), { mask: 1 })).toThrow('distinct registers');
    expect(() => a.vgatherdps('ymm', 1, mem(rax, 0, 2, 4), 2)).toThrow('distinct registers');
    expect(() => a.vaddps('zmm', 0, 0, mem(rax, 0, 2, 4))).toThrow('index register');
    expect(() => a.mov(mem(rax), mem(r12))).toThrow('two memory operands');
    expect(() => a.add(r10, 2 ** 31)).toThrow('internal: immediate');
    expect(() => a.add(r10, 0.5)).toThrow('internal: immediate');
    expect(() => a.shl(r10, 64)).toThrow('internal: shift count');
    expect(() => a.tileloadd(0, mem(rax))).toThrow('stride register');
  });
});
