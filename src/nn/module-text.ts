/** The text of a module: PyTorch's indented tree, runs of equal children folded as `(0-2): 3 x Linear(...)` in lists. */
import type { Module } from './module.ts';

const indented = (text: string): string => text.replaceAll('\n', '\n  ');

export function moduleText(m: Module): string {
  const extra = m.extra_repr();
  const children = m.named_children().map(([name, child]) => ({ name, text: moduleText(child) }));
  const lines =
    m.constructor.name === 'ModuleList' || m.constructor.name === 'ParameterList'
      ? folded(children)
      : children.map(({ name, text }) => `(${name}): ${indented(text)}`);
  const head = m.constructor.name;
  if (lines.length === 0 && !extra.includes('\n')) return `${head}(${extra})`;
  const own = extra === '' ? [] : extra.split('\n');
  return `${head}(\n  ${[...own, ...lines].join('\n  ')}\n)`;
}

/** Neighbours with the same text on one line. */
function folded(children: readonly { name: string; text: string }[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < children.length; ) {
    let end = i;
    while (end + 1 < children.length && children[end + 1].text === children[i].text) end++;
    const text = indented(children[i].text);
    out.push(end === i ? `(${i}): ${text}` : `(${i}-${end}): ${end - i + 1} x ${text}`);
    i = end + 1;
  }
  return out;
}
