import { css, html, LitElement, type TemplateResult, unsafeCSS } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Retention } from "../../../src/api/types.ts";
import { controls } from "../../styles/controls.ts";

/** Longest conversation that is spelled out; of a longer one, its end. */
const MAX_TOKENS = 4000;
const SHADES = 8;

const shades = (): string =>
  Array.from({ length: SHADES }, (_, i) => {
    const percent = Math.round((52 * (i + 1)) / SHADES);
    return `[data-shade="${i + 1}"] { background: color-mix(in srgb, var(--wheat) ${percent}%, transparent); }`;
  }).join("\n");

/** The conversation as the model sees it, each token on the shade of how many heads keep it. */
@customElement("token-reader")
export class TokenReader extends LitElement {
  static override styles = [
    controls,
    css`
      .text {
        max-height: min(34vh, 20rem);
        margin-top: 0.5rem;
        padding: 0.7rem 0.85rem;
        border: 1px solid var(--line);
        border-radius: var(--radius-s);
        background: var(--raised);
        overflow-y: auto;
        font-size: 0.9rem;
        line-height: 1.75;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      span {
        padding: 0.08em 0;
        border-radius: 3px;
      }
      [data-shade="0"] {
        color: var(--muted);
        text-decoration: line-through;
        text-decoration-color: color-mix(in srgb, var(--muted) 60%, transparent);
        text-decoration-thickness: 1px;
      }
      ${unsafeCSS(shades())}
    `,
  ];

  @property({ attribute: false }) retention!: Retention;

  protected override render(): TemplateResult {
    const { tokens, kept, heads } = this.retention;
    const from = Math.max(0, tokens.length - MAX_TOKENS);
    return html`<div class="text" tabindex="0" role="region" aria-label="Tokens, struck through where every head dropped them" data-testid="token-reader">${from > 0 ? html`<p class="small muted">The last ${MAX_TOKENS} of ${tokens.length} tokens</p>` : ""}${tokens
      .slice(from)
      .map((text, i) => {
        const count = kept[from + i] ?? 0;
        const shade = count === 0 ? 0 : Math.max(1, Math.round((SHADES * count) / heads));
        return html`<span data-shade=${shade} title="kept by ${count} of ${heads} heads">${text}</span>`;
      })}</div>`;
  }
}
