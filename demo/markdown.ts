import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { escapeHtml } from "../src/report/escape-html.ts";

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // Markup that a model writes is shown as it is: it is text about HTML, not a part of this page.
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escapeHtml(text),
    // A remote image would tell its host that somebody reads this: it becomes a link.
    image: ({ href, text }: Tokens.Image) =>
      `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    code: ({ text, lang }: Tokens.Code) => {
      const language = escapeHtml((lang ?? "").split(/\s/)[0] ?? "");
      return `<div class="code"><div class="code-bar"><span>${language || "text"}</span><button type="button" data-copy="">Copy</button></div><pre tabindex="0"><code>${escapeHtml(text)}\n</code></pre></div>`;
    },
  },
});

const ALLOWED_TAGS =
  "a b blockquote br button code del div em h1 h2 h3 h4 h5 h6 hr i input li ol p pre s span strong sub sup table tbody td th thead tr ul".split(
    " ",
  );
const ALLOWED_ATTR = [
  "href",
  "title",
  "start",
  "align",
  "class",
  "type",
  "checked",
  "disabled",
  "data-copy",
  "tabindex",
];

/** Sanitised nodes of `source`. Links open a new tab and tell it nothing. */
function toFragment(tokens: Token[]): DocumentFragment {
  const fragment = DOMPurify.sanitize(marked.parser(tokens), {
    ALLOWED_TAGS,
    ALLOWED_ATTR,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  return fragment;
}

/**
 * Renders a growing Markdown text into an element. Blocks that later text cannot change are rendered
 * once; a step costs as much as the last block is long.
 */
export class StreamingMarkdown {
  readonly #host: HTMLElement;
  #source = "";
  #settled = 0;
  #tail: Node[] = [];

  constructor(host: HTMLElement) {
    this.#host = host;
  }

  /** `done`: no more text follows. Then references defined at the end also reach earlier blocks. */
  update(text: string, done: boolean): void {
    const source = text.replace(/\r\n?/g, "\n");
    const grown = source.startsWith(this.#source);
    if (grown && source.length === this.#source.length && !done) return;
    if (!grown) this.#restart();
    this.#source = source;
    this.#renderTail(source);
    if (done) this.#settle(source);
  }

  #renderTail(source: string): void {
    const tokens = marked.lexer(source.slice(this.#settled));
    const last = tokens.findLastIndex((token) => token.type !== "space");
    for (const node of this.#tail) node.parentNode?.removeChild(node);
    const stable = tokens.slice(0, Math.max(0, last));
    this.#host.append(toFragment(stable));
    for (const token of stable) this.#settled += token.raw.length;
    const fragment = toFragment(tokens.slice(Math.max(0, last)));
    this.#tail = [...fragment.childNodes];
    this.#host.append(fragment);
  }

  /** Replaces the pieces by one rendering of the whole, only where that differs. */
  #settle(source: string): void {
    const whole = toFragment(marked.lexer(source));
    const holder = document.createElement("div");
    holder.append(whole);
    if (holder.innerHTML.replace(/\n+/g, "\n") === this.#host.innerHTML.replace(/\n+/g, "\n"))
      return;
    this.#host.replaceChildren(...holder.childNodes);
    this.#tail = [];
    this.#settled = source.length;
  }

  #restart(): void {
    this.#host.replaceChildren();
    this.#source = "";
    this.#settled = 0;
    this.#tail = [];
  }
}
