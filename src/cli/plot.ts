/**
 * The loss curve, twice: in the terminal (asciichart) and as an SVG file (written here: two polylines, two axes and a legend
 * need no library; the text is valid XML without styles from outside).
 */
import asciichart from 'asciichart';

export interface Point {
  readonly step: number;
  readonly loss: number;
}

export interface LossCurves {
  readonly training: readonly Point[];
  readonly heldOut: readonly Point[];
}

/** An exponential moving average without the bias of its beginning. */
export function smooth(points: readonly Point[], window: number): Point[] {
  const keep = Math.exp(-1 / Math.max(1, window));
  let sum = 0;
  let weight = 0;
  return points.map(({ step, loss }) => {
    sum = sum * keep + loss * (1 - keep);
    weight = weight * keep + (1 - keep);
    return { step, loss: sum / weight };
  });
}

/** The curve at `count` steps, evenly spaced, by linear interpolation; flat before the first point and after the last. */
export function resample(points: readonly Point[], from: number, to: number, count: number): number[] {
  const values: number[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    const step = count === 1 ? to : from + ((to - from) * index) / (count - 1);
    while (at + 1 < points.length && points[at + 1]!.step <= step) at++;
    const [left, right] = [points[at]!, points[Math.min(at + 1, points.length - 1)]!];
    const share = right.step === left.step ? 0 : (step - left.step) / (right.step - left.step);
    values.push(left.loss + (right.loss - left.loss) * Math.min(1, Math.max(0, share)));
  }
  return values;
}

export function terminalPlot(curves: LossCurves, { columns = 80, height = 12, color = false } = {}): string {
  const { training, heldOut } = curves;
  if (training.length < 2) return '';
  const [first, last] = [training[0]!.step, training[training.length - 1]!.step];
  const width = Math.max(16, Math.min(columns, 110) - 12);
  const series = [resample(smooth(training, training.length / 50), first, last, width)];
  // Without color two lines cannot be told apart.
  const both = color && heldOut.length > 1;
  if (both) series.push(resample(heldOut, first, last, width));
  const format = (value: number): string => value.toFixed(2).padStart(8);
  const colors = color ? { colors: [asciichart.blue, asciichart.red] } : {};
  const chart = asciichart.plot(series, { height, format, ...colors });
  const caption = `${' '.repeat(10)}${String(first).padEnd(width - String(last).length)}${last}`;
  const legend = both
    ? `${asciichart.blue}training${asciichart.reset} and ${asciichart.red}held-out${asciichart.reset} loss`
    : 'training loss';
  return `${chart}\n${caption}\n${' '.repeat(10)}step; ${legend}, nats a character`;
}

const size = { width: 800, height: 450, left: 70, right: 20, top: 45, bottom: 50 };

export function svgPlot(curves: LossCurves, title: string): string {
  const all = [...curves.training, ...curves.heldOut].filter(({ loss }) => Number.isFinite(loss));
  const steps = ticks(0, Math.max(1, ...range(all.map(({ step }) => step))), 8);
  const losses = ticks(...range(all.map(({ loss }) => loss)), 7);
  const [lowStep, highStep] = [steps[0]!, steps[steps.length - 1]!];
  const [lowLoss, highLoss] = [losses[0]!, losses[losses.length - 1]!];
  const x = (step: number): number => size.left + ((step - lowStep) / (highStep - lowStep)) * (size.width - size.left - size.right);
  const y = (loss: number): number => size.top + ((highLoss - loss) / (highLoss - lowLoss)) * (size.height - size.top - size.bottom);
  const line = (points: readonly Point[], style: string): string =>
    points.length === 0
      ? ''
      : `<polyline fill="none" stroke-linejoin="round" ${style} points="${thin(points.filter(({ loss }) => Number.isFinite(loss)))
          .map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`)
          .join(' ')}"/>`;
  const grid = [
    ...steps.map((step) => {
      const at = x(step).toFixed(1);
      return `<line x1="${at}" y1="${size.top}" x2="${at}" y2="${size.height - size.bottom}" stroke="#e0e0e0"/><text x="${at}" y="${size.height - size.bottom + 18}" text-anchor="middle">${tickLabel(step)}</text>`;
    }),
    ...losses.map((loss) => {
      const at = y(loss).toFixed(1);
      return `<line x1="${size.left}" y1="${at}" x2="${size.width - size.right}" y2="${at}" stroke="#e0e0e0"/><text x="${size.left - 8}" y="${at}" dy="4" text-anchor="end">${tickLabel(loss)}</text>`;
    }),
  ];
  const dots = curves.heldOut
    .filter(({ loss }) => Number.isFinite(loss))
    .map(({ step, loss }) => `<circle cx="${x(step).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="3" fill="#d62728"/>`);
  const middle = (size.top + size.height - size.bottom) / 2;
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="${size.left}" y="26" font-size="15">${escapeXml(title)}</text>
${grid.join('\n')}
${line(curves.training, 'stroke="#1f77b4" stroke-opacity="0.25"')}
${line(smooth(curves.training, curves.training.length / 50), 'stroke="#1f77b4" stroke-width="2"')}
${line(curves.heldOut, 'stroke="#d62728" stroke-width="1.5" stroke-dasharray="4 3"')}
${dots.join('\n')}
<text x="${(size.left + size.width - size.right) / 2}" y="${size.height - 12}" text-anchor="middle">step</text>
<text x="18" y="${middle}" text-anchor="middle" transform="rotate(-90 18 ${middle})">loss, nats a character</text>
<text x="${size.width - size.right}" y="18" text-anchor="end" fill="#1f77b4">training</text>
<text x="${size.width - size.right}" y="34" text-anchor="end" fill="#d62728">held out</text>
</svg>
`;
}

function range(values: readonly number[]): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [0, 1];
}

/** Round numbers (1, 2 or 5 times a power of ten) that enclose the range. */
export function ticks(low: number, high: number, about: number): number[] {
  const rough = Math.max(high - low, 1e-6) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / distance + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / distance - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * distance).toPrecision(12)));
}

function tickLabel(value: number): string {
  return String(value);
}

/** At most some 2,000 points: a file that a browser draws at once. */
function thin(points: readonly Point[]): readonly Point[] {
  const stride = Math.ceil(points.length / 2000);
  return stride <= 1 ? points : points.filter((_, index) => index % stride === 0 || index === points.length - 1);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
