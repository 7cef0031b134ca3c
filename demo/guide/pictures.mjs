// node demo/guide/pictures.mjs [FOLDER]: writes the guide's pictures, beside this file where no folder is named. Each is drawn on a light card of its own, so that
// it can be read on any background.
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const INK = "#2c2a24";
const FAINT = "#8b8577";
const GREEN = "#1d5a4a";
const GOLD = "#c08a1e";
const PALE = "#e4ded0";

/** @param {number} width @param {number} height @param {string} title @param {string} body */
const card = (width, height, title, body) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="${INK}">
<title>${title}</title>
<rect width="${width}" height="${height}" rx="10" fill="#faf8f3"/>
${body}
</svg>
`;

/** @param {number} x @param {number} y @param {string} words @param {string} [more] */
const text = (x, y, words, more = "") => `<text x="${x}" y="${y}" ${more}>${words}</text>`;

/** @param {number} x @param {number} y @param {number} width @param {number} height @param {string} fill @param {string} [more] */
const box = (x, y, width, height, fill, more = "") =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" fill="${fill}" ${more}/>`;

/** Memory over the tokens of a chat. */
function budgetCurve() {
  const [left, bottom] = [70, 230];
  const lines = [
    `<path d="M${left} 30V${bottom}H590" fill="none" stroke="${INK}"/>`,
    `<path d="M${left} ${bottom}L560 40" fill="none" stroke="${FAINT}" stroke-width="3" stroke-dasharray="7 5"/>`,
    `<path d="M${left} ${bottom}L199 180H560" fill="none" stroke="${GREEN}" stroke-width="4"/>`,
    `<path d="M199 180V${bottom}" stroke="${GOLD}" stroke-dasharray="3 3"/>`,
    text(420, 80, "no budget", `fill="${FAINT}" text-anchor="end"`),
    text(420, 170, "budget of 512 pairs per head", `fill="${GREEN}"  text-anchor="middle"`),
    text(199, 250, "budget is full", `text-anchor="middle"`),
    text(590, 250, "tokens", `text-anchor="end"`),
    text(60, 40, "cache", `text-anchor="end"`),
  ];
  return card(640, 270, "The cache over the tokens of a chat", lines.join("\n"));
}

/** One head's slots while a token is appended. */
function eviction() {
  const size = 34;
  const scores = [null, null, 0.8, 0.3, 0.6, 0.1, 0.9, 0.4, 0.7, 0.5, null, null, null];
  const lowest = scores.indexOf(0.1);
  const cell = (/** @type {number | null} */ score, /** @type {number} */ i) => {
    const x = 40 + i * (size + 6);
    const fill = score === null ? (i < 2 ? GOLD : GREEN) : i === lowest ? "#fff" : PALE;
    const line = i === lowest ? `stroke="#b3261e" stroke-width="2.5"` : "";
    const label =
      score === null ? "" : text(x + size / 2, 112, score.toFixed(1), `text-anchor="middle"`);
    return box(x, 90, size, size, fill, line) + label;
  };
  const at = 40 + lowest * (size + 6) + size / 2;
  const lines = [
    ...scores.map(cell),
    text(77, 80, "sinks", `text-anchor="middle"`),
    text(497, 80, "window: the latest", `text-anchor="middle"`),
    text(280, 150, "score of each pair: higher is kept", `text-anchor="middle" fill="${FAINT}"`),
    box(at - size / 2, 20, size, size, GREEN),
    text(at + 26, 42, "the new pair takes the place of the lowest"),
    `<path d="M${at} 58v24m-5 -7l5 7l5 -7" fill="none" stroke="${INK}" stroke-width="2"/>`,
  ];
  return card(600, 170, "One head's cache when it is full", lines.join("\n"));
}

/** Heads with budgets of their own. */
function headBudgets() {
  const pairs = [640, 96, 256, 448, 64, 160, 320, 512, 128, 224, 32, 192];
  const mean = pairs.reduce((sum, n) => sum + n, 0) / pairs.length;
  const y = (/** @type {number} */ n) => 200 - n / 4;
  const lines = [
    ...pairs.map((n, i) => box(60 + i * 42, y(n), 30, n / 4, n > mean ? GREEN : PALE)),
    `<path d="M50 ${y(mean)}H570" stroke="${GOLD}" stroke-width="2.5" stroke-dasharray="6 4"/>`,
    text(566, y(mean) - 8, "budget: the mean", `text-anchor="end" fill="${GOLD}"`),
    `<path d="M50 200H570" stroke="${INK}"/>`,
    text(310, 222, "kv heads", `text-anchor="middle"`),
    text(50, 32, "pairs kept"),
  ];
  return card(620, 240, "Heads have budgets of their own around the mean", lines.join("\n"));
}

/** What three policies keep of one text. */
function policies() {
  const count = 40;
  /** @type {[string, (i: number) => boolean][]} */
  const rows = [
    ["streaming-llm", (i) => i < 2 || i >= count - 14],
    ["q-filters", (i) => i < 2 || i >= count - 6 || [5, 9, 10, 14, 19, 23, 27, 31].includes(i)],
    [
      "winnow",
      (i) => i < 2 || i >= count - 3 || [6, 11, 16, 17, 18, 19, 20, 21, 25, 30, 33].includes(i),
    ],
  ];
  const answer = [17, 18, 19, 20];
  const x = (/** @type {number} */ i) => 130 + i * 12;
  const lines = [
    text(x(18.5) + 5, 26, "what the question asks for", `text-anchor="middle" fill="${GOLD}"`),
    `<path d="M${x(17)} 34H${x(20) + 10}" stroke="${GOLD}" stroke-width="3"/>`,
    ...rows.flatMap(([name, keeps], row) => [
      text(118, 62 + row * 34, name, `text-anchor="end"`),
      ...Array.from({ length: count }, (_, i) =>
        box(x(i), 46 + row * 34, 10, 22, keeps(i) ? (answer.includes(i) ? GOLD : GREEN) : PALE),
      ),
    ]),
    text(130, 162, "first token", `fill="${FAINT}"`),
    text(x(count), 162, "latest token", `text-anchor="end" fill="${FAINT}"`),
  ];
  return card(640, 176, "What three policies keep of one text, in one head", lines.join("\n"));
}

const pictures = {
  "budget-curve": budgetCurve(),
  eviction: eviction(),
  "head-budgets": headBudgets(),
  policies: policies(),
};
const [folder = import.meta.dirname] = process.argv.slice(2);
for (const [name, svg] of Object.entries(pictures)) writeFileSync(join(folder, `${name}.svg`), svg);
