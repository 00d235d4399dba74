/**
 * The ratios of a report as an SVG: a bar for each rival of each row and number of threads, on a logarithmic axis around 1, with the range over the rounds
 * as a thin line. It follows the reader's light or dark scheme.
 */
import type { CpuReport } from './report.ts';

const colors: Readonly<Record<string, string>> = {
  PyTorch: '#d1573b',
  'PyTorch eager': '#d1573b',
  'onnxruntime-node': '#3b7dd1',
  'llama.cpp': '#4a9a55',
};
const [left, right, barHeight, gap, top] = [330, 90, 12, 8, 56];
const [least, most] = [1 / 8, 16];
const chartWidth = 560;

const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

export function ratioChart({ results }: CpuReport): string {
  const x = (ratio: number): number =>
    left + (chartWidth * Math.log(Math.min(most, Math.max(least, ratio)) / least)) / Math.log(most / least);
  const parts: string[] = [];
  let y = top;
  for (const { threads, comparison } of results) {
    if (comparison === undefined) continue;
    const ratios = comparison.ratios.filter(({ against }) => against in colors);
    if (ratios.length === 0) continue;
    const middle = y + (ratios.length * barHeight) / 2 + 4;
    const title = threads === null || comparison.title.includes('thread') ? comparison.title : `${comparison.title}, ${threads} threads`;
    parts.push(`<text x="${left - 8}" y="${middle}" text-anchor="end">${escaped(title)}</text>`);
    for (const { against, median, low, high } of ratios) {
      const [from, to] = [Math.min(x(1), x(median)), Math.max(x(1), x(median))];
      const line = y + barHeight / 2 - 1;
      parts.push(
        `<rect x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="${barHeight - 2}" fill="${colors[against]}"/>`,
        `<line x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${line}" y2="${line}" class="range"/>`,
        `<text x="${(Math.max(to, x(high)) + 6).toFixed(1)}" y="${y + barHeight - 3}">${median.toFixed(2)}</text>`,
      );
      y += barHeight;
    }
    y += gap;
  }
  const axis = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16].map(
    (ratio) =>
      `<line x1="${x(ratio).toFixed(1)}" x2="${x(ratio).toFixed(1)}" y1="${top - 8}" y2="${y}" class="${ratio === 1 ? 'one' : 'grid'}"/><text x="${x(ratio).toFixed(1)}" y="${top - 14}" text-anchor="middle">${ratio < 1 ? `1/${1 / ratio}` : ratio}</text>`,
  );
  const legend = ['PyTorch', 'onnxruntime-node', 'llama.cpp'].map(
    (name, i) =>
      `<rect x="${left + i * 170}" y="8" width="10" height="10" fill="${colors[name]}"/><text x="${left + 16 + i * 170}" y="17">ours / ${name}</text>`,
  );
  const style =
    'text{font:12px system-ui,sans-serif;fill:#24292f}.grid{stroke:#8886}.one{stroke:#24292f}.range{stroke:#24292f;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#d0d7de}.one,.range{stroke:#d0d7de}}';
  const size = `${left + chartWidth + right} ${y + 10}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}"><title>Ratios to the rivals, ours over theirs: above 1 we are faster</title><style>${style}</style>\n${[...legend, ...axis, ...parts].join('\n')}\n</svg>\n`;
}
