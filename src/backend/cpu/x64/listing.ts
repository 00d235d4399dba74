/**
 * Text of allocated machine IR, one instruction a line, for debug flags and for tests that pin down generated code.
 *
 * It shows what selection and allocation decided, in Intel's operand order; prologue, moves that vanish and the form of `fma` are the
 * encoder's business. For the bytes themselves use `dumpCode` and a disassembler.
 */
import { isMachineMemory, isVirtual, type MachineInstruction, type MachineOperand, maskClass, vectorClass } from './machine.ts';
import type { Width } from './registers.ts';

const general = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

/** Labels are numbered in the order in which they are first seen. */
type Names = Map<number, number>;
function numbered(names: Names, id: number): number {
  if (!names.has(id)) names.set(id, names.size);
  return names.get(id)!;
}

function operandText(o: MachineOperand, width: Width | null, code: Names, data: Names): string {
  if (typeof o !== 'object') return String(o);
  if (isVirtual(o))
    return o.cls === vectorClass ? `${width ?? 'xmm'}${o.assigned}` : o.cls === maskClass ? `k${o.assigned}` : general[o.assigned]!;
  if (isMachineMemory(o)) {
    const base = o.base.kind === 'label' ? `data${numbered(data, o.base.id)}` : operandText(o.base, null, code, data);
    const index = o.index === null ? '' : ` + ${operandText(o.index, width, code, data)}*${o.scale}`;
    const displacement = o.disp === 0 ? '' : o.disp < 0 ? ` - ${-o.disp}` : ` + ${o.disp}`;
    return `[${base}${index}${displacement}]`;
  }
  return o.kind === 'label' ? `L${numbered(code, o.id)}` : general[o.code]!;
}

export function listInstructions(instructions: readonly MachineInstruction[]): string {
  const lines: string[] = [];
  const code: Names = new Map();
  const data: Names = new Map();
  for (const { name, width, operands, mask, zero, broadcast } of instructions) {
    const texts = operands.map((o) => operandText(o, width, code, data));
    if (name === '.label' || name === '.loop') lines.push(`${texts[0]}:`);
    else if (name === '.mov' && texts[0] === texts[1]) continue;
    else if (name !== '.entry' && name !== '.end') {
      const lanes =
        (mask === null ? '' : ` {${operandText(mask, null, code, data)}}${zero ? '{z}' : ''}`) + (broadcast ? ' {broadcast}' : '');
      lines.push(`  ${name.replace('.', '')}${texts.length > 0 ? ` ${texts.join(', ')}` : ''}${lanes}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
