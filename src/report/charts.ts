/** SVG charts as text: no script, colours by the page's style. */
import { escapeHtml } from "./escape-html.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly low?: number | undefined;
  readonly high?: number | undefined;
}

export interface Line {
  readonly name: string;
  /** Index of the line's colour: the same name has the same colour in every chart. */
  readonly color: number;
  readonly points: readonly Point[];
}

export interface LineChart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
  /** Budgets double: their axis is logarithmic. */
  readonly logX?: boolean;
  /** Points are not joined by a line. */
  readonly scatter?: boolean;
  /** A value to draw a dashed line at: the uncompressed run. */
  readonly ceiling?: number;
}

const WIDTH = 560;
const HEIGHT = 300;
const BOX = { left: 62, right: 12, top: 12, bottom: 44 };

/** Round steps that cut [low, high] into about five. */
export function ticks(low: number, high: number): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough)!;
  const found: number[] = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1)
    found.push(Number((n * step).toPrecision(12)));
  return found;
}

export function lineChart(chart: LineChart): string {
  const { title, xLabel, yLabel, lines, logX, scatter, ceiling } = chart;
  const points = lines.flatMap((line) => line.points);
  if (points.length === 0) return "";
  const xs = points.map(({ x }) => (logX ? Math.log2(x) : x));
  const ys = points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]);
  if (ceiling !== undefined) ys.push(ceiling);
  const [x0, x1] = padded(Math.min(...xs), Math.max(...xs), 0.04);
  const [y0, y1] = padded(Math.min(...ys), Math.max(...ys), 0.08);
  const px = (x: number): string =>
    (
      BOX.left +
      (((logX ? Math.log2(x) : x) - x0) / (x1 - x0)) * (WIDTH - BOX.left - BOX.right)
    ).toFixed(1);
  const py = (y: number): string =>
    (HEIGHT - BOX.bottom - ((y - y0) / (y1 - y0)) * (HEIGHT - BOX.top - BOX.bottom)).toFixed(1);
  const xTicks = logX
    ? [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b)
    : ticks(x0, x1);
  const grid = [
    ...ticks(y0, y1).map(
      (y) =>
        `<path class="grid" d="M${BOX.left} ${py(y)}H${WIDTH - BOX.right}"/>` +
        `<text x="${BOX.left - 6}" y="${py(y)}" dy="4" text-anchor="end">${y}</text>`,
    ),
    ...xTicks.map(
      (x) => `<text x="${px(x)}" y="${HEIGHT - BOX.bottom + 16}" text-anchor="middle">${x}</text>`,
    ),
  ];
  const drawn = lines.map(({ name, color, points }) => {
    const joined = points.map(({ x, y }, i) => `${i === 0 ? "M" : "L"}${px(x)} ${py(y)}`).join("");
    const path = scatter ? "" : `<path d="${joined}"/>`;
    const marks = points.map(({ x, y, low, high }) => {
      const whisker =
        low === undefined || high === undefined
          ? ""
          : `<path d="M${px(x)} ${py(low)}V${py(high)}"/>`;
      return `${whisker}<circle cx="${px(x)}" cy="${py(y)}" r="${points.length > 12 ? 1.5 : 3}"><title>${escapeHtml(`${name}: ${x}, ${Number(y.toPrecision(5))}`)}</title></circle>`;
    });
    return `<g class="line c${color}">${path}${marks.join("")}</g>`;
  });
  const limit =
    ceiling === undefined
      ? ""
      : `<path class="ceiling" d="M${BOX.left} ${py(ceiling)}H${WIDTH - BOX.right}"/>`;
  const legend = lines
    .map(({ name, color }) => `<span class="key c${color}">${escapeHtml(name)}</span>`)
    .join(" ");
  return (
    `<figure><figcaption>${escapeHtml(title)}</figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${grid.join("")}${limit}${drawn.join("")}` +
    `<text x="${(BOX.left + WIDTH) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(xLabel)}</text>` +
    `<text transform="translate(14 ${HEIGHT / 2 - 12}) rotate(-90)" text-anchor="middle">${escapeHtml(yLabel)}</text></svg>` +
    `<p class="legend">${legend}${ceiling === undefined ? "" : ' <span class="key dashed">uncompressed</span>'}</p></figure>`
  );
}

function padded(low: number, high: number, share: number): [number, number] {
  const span = high - low || Math.abs(high) * 0.1 || 1;
  return [low - span * share, high + span * share];
}

export interface HeatMap {
  readonly title: string;
  readonly rowLabel: string;
  readonly columns: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly cells: readonly (HeatCell | undefined)[];
  }[];
}

export interface HeatCell {
  /** 0 (worst) to 1 (best): the colour. */
  readonly good: number;
  readonly text: string;
  readonly hint: string;
}

/** A table whose cells are coloured by how good they are. */
export function heatMap({ title, rowLabel, columns, rows }: HeatMap): string {
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join("");
  const body = rows.map(({ name, cells }) => {
    const data = cells.map((cell) =>
      cell
        ? `<td style="--good:${Math.round(100 * Math.min(1, Math.max(0, cell.good)))}%" title="${escapeHtml(cell.hint)}">${escapeHtml(cell.text)}</td>`
        : '<td class="none">-</td>',
    );
    return `<tr><th scope="row">${escapeHtml(name)}</th>${data.join("")}</tr>`;
  });
  return (
    `<figure class="heat"><figcaption>${escapeHtml(title)}</figcaption><div class="scroll"><table>` +
    `<tr><th>${escapeHtml(rowLabel)}</th>${head}</tr>${body.join("")}</table></div></figure>`
  );
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly text: string;
}

/** A bar for each value, with a line from the least to the greatest sample. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ high }) => high)) || 1;
  const x = (value: number): string => (220 + (220 * value) / most).toFixed(1);
  const drawn = bars.map(({ name, value, low, high, text }, i) => {
    const y = 24 * i;
    return (
      `<text x="212" y="${y + 15}" text-anchor="end">${escapeHtml(name)}</text>` +
      `<path class="bar" d="M220 ${y + 11}H${x(value)}"/><path d="M${x(low)} ${y + 11}H${x(high)}"/>` +
      `<text x="448" y="${y + 15}">${escapeHtml(text)}</text>`
    );
  });
  return (
    `<figure><figcaption>${escapeHtml(title)}</figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${24 * bars.length}" role="img" aria-label="${escapeHtml(title)}"><g class="line c0">${drawn.join("")}</g></svg></figure>`
  );
}
