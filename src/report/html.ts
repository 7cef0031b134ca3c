import { escapeHtml } from "./escape-html.ts";
import { STYLE } from "./style.ts";

/** One self-contained page in the style of all reports: no script, nothing fetched. `parts` are HTML. */
export const htmlPage = (title: string, parts: readonly string[]): string =>
  [
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escapeHtml(title)}</title><style>${STYLE}</style>`,
    ...parts,
    "</html>\n",
  ].join("\n");

/** A heading and what stands under it; nothing where `content` is empty. */
export const section = (title: string, content: string): string =>
  content === "" ? "" : `<h2>${escapeHtml(title)}</h2>${content}`;

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<div class="scroll"><table class="figures">${line(head, "th")}${rows.map((row) => line(row, "td")).join("")}</table></div>`;
}
