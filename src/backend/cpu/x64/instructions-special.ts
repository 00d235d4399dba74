/**
 * Vector instruction table, the rest: gathers and scatters, mask registers, matrix tiles. Notation: see `instruction-row.ts`.
 *
 * A gather has two forms: AVX2's takes a mask vector as third operand (elements with a set sign bit are loaded, and the mask is
 * cleared); AVX-512's takes the option `mask`, which the hardware clears likewise. The architecture forbids dst = index.
 */

import type { InstructionTable } from './instruction-row.ts';

export const specialInstructions = {
  vgatherdps: [
    ['rV SV vV', '66.0f38.92', '0- n4'],
    ['rV SV', '66.0f38.92', '-0 n4'],
  ],
  vgatherdpd: [
    ['rV SH vV', '66.0f38.92', '1- n8'],
    ['rV SH', '66.0f38.92', '-1 n8'],
  ],
  vgatherqps: [
    ['rH SV vH', '66.0f38.93', '0- n4'],
    ['rH SV', '66.0f38.93', '-0 n4'],
  ],
  vgatherqpd: [
    ['rV SV vV', '66.0f38.93', '1- n8'],
    ['rV SV', '66.0f38.93', '-1 n8'],
  ],
  vpgatherdd: [
    ['rV SV vV', '66.0f38.90', '0- n4'],
    ['rV SV', '66.0f38.90', '-0 n4'],
  ],
  vpgatherdq: [
    ['rV SH vV', '66.0f38.90', '1- n8'],
    ['rV SH', '66.0f38.90', '-1 n8'],
  ],
  vpgatherqd: [
    ['rH SV vH', '66.0f38.91', '0- n4'],
    ['rH SV', '66.0f38.91', '-0 n4'],
  ],
  vpgatherqq: [
    ['rV SV vV', '66.0f38.91', '1- n8'],
    ['rV SV', '66.0f38.91', '-1 n8'],
  ],
  vpscatterdd: [['SV rV', '66.0f38.a0', '-0 n4']],
  vpscatterdq: [['SH rV', '66.0f38.a0', '-1 n8']],
  vpscatterqd: [['SV rH', '66.0f38.a1', '-0 n4']],
  vpscatterqq: [['SV rV', '66.0f38.a1', '-1 n8']],
  vscatterdps: [['SV rV', '66.0f38.a2', '-0 n4']],
  vscatterdpd: [['SH rV', '66.0f38.a2', '-1 n8']],
  vscatterqps: [['SV rH', '66.0f38.a3', '-0 n4']],
  vscatterqpd: [['SV rV', '66.0f38.a3', '-1 n8']],
  // mask registers: k <- k or memory, memory <- k, k <- general, general <- k
  kmovb: [
    ['rk mk', '66.0f.90', '0- n1 k'],
    ['Mk rk', '66.0f.91', '0- n1 k'],
    ['rk Rd', '66.0f.92', '0- k'],
    ['rd Rk', '66.0f.93', '0- k'],
  ],
  kmovw: [
    ['rk mk', 'np.0f.90', '0- n2 k'],
    ['Mk rk', 'np.0f.91', '0- n2 k'],
    ['rk Rd', 'np.0f.92', '0- k'],
    ['rd Rk', 'np.0f.93', '0- k'],
  ],
  kmovd: [
    ['rk mk', '66.0f.90', '1- n4 k'],
    ['Mk rk', '66.0f.91', '1- n4 k'],
    ['rk Rd', 'f2.0f.92', '0- k'],
    ['rd Rk', 'f2.0f.93', '0- k'],
  ],
  kmovq: [
    ['rk mk', 'np.0f.90', '1- n8 k'],
    ['Mk rk', 'np.0f.91', '1- n8 k'],
    ['rk Rq', 'f2.0f.92', '1- k'],
    ['rq Rk', 'f2.0f.93', '1- k'],
  ],
  kandb: [['rk vk Rk', '66.0f.41', '0- L1 k']],
  kandw: [['rk vk Rk', 'np.0f.41', '0- L1 k']],
  kandd: [['rk vk Rk', '66.0f.41', '1- L1 k']],
  kandq: [['rk vk Rk', 'np.0f.41', '1- L1 k']],
  kandnb: [['rk vk Rk', '66.0f.42', '0- L1 k']],
  kandnw: [['rk vk Rk', 'np.0f.42', '0- L1 k']],
  kandnd: [['rk vk Rk', '66.0f.42', '1- L1 k']],
  kandnq: [['rk vk Rk', 'np.0f.42', '1- L1 k']],
  korb: [['rk vk Rk', '66.0f.45', '0- L1 k']],
  korw: [['rk vk Rk', 'np.0f.45', '0- L1 k']],
  kord: [['rk vk Rk', '66.0f.45', '1- L1 k']],
  korq: [['rk vk Rk', 'np.0f.45', '1- L1 k']],
  kxnorb: [['rk vk Rk', '66.0f.46', '0- L1 k']],
  kxnorw: [['rk vk Rk', 'np.0f.46', '0- L1 k']],
  kxnord: [['rk vk Rk', '66.0f.46', '1- L1 k']],
  kxnorq: [['rk vk Rk', 'np.0f.46', '1- L1 k']],
  kxorb: [['rk vk Rk', '66.0f.47', '0- L1 k']],
  kxorw: [['rk vk Rk', 'np.0f.47', '0- L1 k']],
  kxord: [['rk vk Rk', '66.0f.47', '1- L1 k']],
  kxorq: [['rk vk Rk', 'np.0f.47', '1- L1 k']],
  knotb: [['rk Rk', '66.0f.44', '0- k']],
  knotw: [['rk Rk', 'np.0f.44', '0- k']],
  knotd: [['rk Rk', '66.0f.44', '1- k']],
  knotq: [['rk Rk', 'np.0f.44', '1- k']],
  kortestb: [['rk Rk', '66.0f.98', '0- k']],
  kortestw: [['rk Rk', 'np.0f.98', '0- k']],
  kortestd: [['rk Rk', '66.0f.98', '1- k']],
  kortestq: [['rk Rk', 'np.0f.98', '1- k']],
  kshiftlw: [['rk Rk i', '66.0f3a.32', '1- k']],
  kshiftlq: [['rk Rk i', '66.0f3a.33', '1- k']],
  kshiftrw: [['rk Rk i', '66.0f3a.30', '1- k']],
  kshiftrq: [['rk Rk i', '66.0f3a.31', '1- k']],
  kunpckbw: [['rk vk Rk', '66.0f.4b', '0- L1 k']],
  vpmovm2b: [['rV Rk', 'f3.0f38.28', '-0 nomask']],
  vpmovm2w: [['rV Rk', 'f3.0f38.28', '-1 nomask']],
  vpmovm2d: [['rV Rk', 'f3.0f38.38', '-0 nomask']],
  vpmovm2q: [['rV Rk', 'f3.0f38.38', '-1 nomask']],
  vpmovb2m: [['rk RV', 'f3.0f38.29', '-0 nomask']],
  vpmovw2m: [['rk RV', 'f3.0f38.29', '-1 nomask']],
  vpmovd2m: [['rk RV', 'f3.0f38.39', '-0 nomask']],
  vpmovq2m: [['rk RV', 'f3.0f38.39', '-1 nomask']],
  // matrix tiles (AMX); memory of tile loads and stores is [base + stride register]
  ldtilecfg: [['M0', 'np.0f38.49/0', '0- k']],
  sttilecfg: [['M0', '66.0f38.49/0', '0- k']],
  tileloadd: [['rt M1', 'f2.0f38.4b', '0- k']],
  tilestored: [['M1 rt', 'f3.0f38.4b', '0- k']],
  tdpbf16ps: [['rt Rt vt', 'f3.0f38.5c', '0- k']],
  tdpbssd: [['rt Rt vt', 'f2.0f38.5e', '0- k']],
  tdpbusd: [['rt Rt vt', '66.0f38.5e', '0- k']],
  tilezero: [['rt', 'f2.0f38.49', '0- k']],
  tilerelease: [['', 'np.0f38.49', '0- k']],
} as const satisfies InstructionTable;
