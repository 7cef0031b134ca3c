/** Inline SVG for the report: colours come from the page's style, so that light and dark both read. */

const WIDTH = 800;
const LEFT = 56;
const RIGHT = 16;
const TOP = 16;
const BOTTOM = 40;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (character) => ESCAPES[character]!);

type Format = (value: number) => string;

/** A cell per head, layers from left to right: the fuller the colour, the higher the value. */
export function headGrid(
  values: readonly (readonly number[])[],
  { lowest, highest, format }: { lowest: number; highest: number; format: Format },
): string {
  const heads = values[0]?.length ?? 0;
  const cell = Math.min(26, (WIDTH - LEFT - RIGHT) / values.length);
  const height = TOP + cell * heads + BOTTOM;
  const cells = values.flatMap((row, layer) =>
    row.map((value, head) => {
      const strength = Math.min(1, Math.max(0, (value - lowest) / (highest - lowest)));
      const x = LEFT + layer * cell;
      const y = TOP + head * cell;
      return `<g><title>layer ${layer}, kv head ${head}: ${format(value)}</title>${box(x, y, cell, "frame")}${box(x, y, cell, "cell", 0.04 + 0.96 * strength)}</g>`;
    }),
  );
  const step = Math.ceil(values.length / 10);
  const names = values.flatMap((_, layer) =>
    layer % step === 0
      ? [label(LEFT + (layer + 0.5) * cell, TOP + heads * cell + 14, String(layer), "middle")]
      : [],
  );
  const rows = Array.from({ length: heads }, (_, head) =>
    label(LEFT - 8, TOP + (head + 0.5) * cell + 4, String(head), "end"),
  );
  const legend = `layer, each column its kv heads; empty ${format(lowest)} or less, full ${format(highest)}`;
  return svg(height, [
    ...cells,
    ...names,
    ...rows,
    label(LEFT, TOP + heads * cell + 32, legend, "start"),
  ]);
}

interface Axes {
  readonly x: string;
  readonly y: string;
  /** Top of the y axis, where it is known. */
  readonly highest?: number;
}

/** Lines over a logarithmic x axis; the first is drawn full, the second dashed. */
export function lineChart(
  lines: readonly { name: string; points: readonly (readonly [number, number])[] }[],
  axes: Axes,
): string {
  const all = lines.flatMap(({ points }) => points);
  const plot = new Plot(
    all.map(([x]) => x),
    all.map(([, y]) => y),
    axes,
    true,
  );
  const paths = lines.map(({ points, name }, i) => {
    const style = i === 0 ? "one" : "two";
    const last = TOP + 14 + 16 * i;
    return `<path class="${style}" d="${path(points.map(([x, y]) => plot.at(x, y)))}"/>${label(LEFT + 12, last, name, "start", `${style}-text`)}`;
  });
  return svg(plot.height, [plot.frame(), ...paths]);
}

/** The middle line of a band from low to high, over a logarithmic x axis. */
export function bandChart(
  bands: readonly { x: number; low: number; middle: number; high: number }[],
  axes: Axes,
): string {
  const plot = new Plot(
    bands.map(({ x }) => x),
    bands.flatMap(({ low, high }) => [low, high]),
    axes,
    true,
  );
  const outline = [
    ...bands.map(({ x, high }) => plot.at(x, high)),
    ...bands.map(({ x, low }) => plot.at(x, low)).reverse(),
  ];
  const middle = bands.map(({ x, middle: y }) => plot.at(x, y));
  return svg(plot.height, [
    plot.frame(),
    `<path class="band" d="${path(outline)}Z"/>`,
    `<path class="one" d="${path(middle)}"/>`,
  ]);
}

/** A dot per head. */
export function scatterChart(points: readonly (readonly [number, number])[], axes: Axes): string {
  const plot = new Plot(
    points.map(([x]) => x),
    points.map(([, y]) => y),
    axes,
    false,
  );
  const dots = points.map(([x, y]) => {
    const [cx, cy] = plot.at(x, y);
    return `<circle class="dot" cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4"/>`;
  });
  return svg(plot.height, [plot.frame(), ...dots]);
}

/** Where values lie, and the axes around them. */
class Plot {
  readonly height = 320;
  private readonly x: readonly [number, number];
  private readonly y: readonly [number, number];
  private readonly axes: Axes;
  private readonly xs: readonly number[];
  private readonly logarithmic: boolean;

  constructor(xs: readonly number[], ys: readonly number[], axes: Axes, logarithmic: boolean) {
    this.axes = axes;
    this.logarithmic = logarithmic;
    this.x = span(xs, logarithmic ? 0 : 0.05);
    const [low, high] = span(ys, 0.05);
    this.y = [low, axes.highest ?? high];
    this.xs = logarithmic ? [...new Set(xs)].sort((a, b) => a - b) : ticks(this.x);
  }

  at(x: number, y: number): [number, number] {
    const of = (value: number) => (this.logarithmic ? Math.log(value) : value);
    const [low, high] = this.x;
    const across = (of(x) - of(low)) / (of(high) - of(low));
    const up = (y - this.y[0]) / (this.y[1] - this.y[0]);
    return [
      LEFT + across * (WIDTH - LEFT - RIGHT),
      this.height - BOTTOM - up * (this.height - TOP - BOTTOM),
    ];
  }

  frame(): string {
    const floor = this.height - BOTTOM;
    let before = Number.NEGATIVE_INFINITY;
    const columns = this.xs.flatMap((value) => {
      const [x] = this.at(value, this.y[0]);
      // Labels that would touch are left out.
      if (x - before < 34) return [];
      before = x;
      return [label(x, floor + 16, number(value), "middle")];
    });
    const rows = ticks(this.y).map((value) => {
      const [, y] = this.at(this.x[0], value);
      return `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>${label(LEFT - 6, y + 4, number(value), "end")}`;
    });
    return [
      ...rows,
      ...columns,
      label((LEFT + WIDTH - RIGHT) / 2, this.height - 6, this.axes.x, "middle"),
      label(LEFT, 10, this.axes.y, "start"),
    ].join("");
  }
}

/** Smallest and largest value, `margin` of their distance added; never empty. */
function span(values: readonly number[], margin: number): [number, number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = high > low ? (high - low) * margin : Math.abs(low) * 0.05 + 0.01;
  return [low - room, high + room];
}

/** Four to eight round numbers inside the span. */
function ticks([low, high]: readonly [number, number]): number[] {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((size) => size >= rough)!;
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}

const number = (value: number): string => String(Number(value.toPrecision(4)));

const path = (points: readonly (readonly [number, number])[]): string =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

const box = (x: number, y: number, size: number, style: string, opacity?: number): string =>
  `<rect class="${style}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(size - 2).toFixed(1)}" height="${(size - 2).toFixed(1)}"${opacity === undefined ? "" : ` fill-opacity="${opacity.toFixed(3)}"`}/>`;

const label = (x: number, y: number, text: string, anchor: string, style = ""): string =>
  `<text${style ? ` class="${style}"` : ""} x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;

const svg = (height: number, parts: readonly string[]): string =>
  `<svg viewBox="0 0 ${WIDTH} ${height.toFixed(0)}" role="img">${parts.join("")}</svg>`;
