import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { CacheUsage, Usage } from "../../../src/api/types.ts";
import { formatCount, formatRate, formatSeconds } from "../../format.ts";
import { controls } from "../../styles/controls.ts";

/** Tokens seen, pairs kept and evicted, and how fast it goes. */
@customElement("cache-figures")
export class CacheFigures extends LitElement {
  static override styles = [
    controls,
    css`
      dl {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: 0.28rem 1rem;
        margin: 0;
      }
      dt {
        color: var(--muted);
      }
      dd {
        margin: 0;
        text-align: right;
        font-weight: 550;
        font-variant-numeric: tabular-nums;
      }
    `,
  ];

  @property({ attribute: false }) usage: CacheUsage | null = null;
  /** Tokens per second while an answer streams, else null. */
  @property({ attribute: false }) liveRate: number | null = null;
  /** Seconds to the first token of the answer under way. */
  @property({ attribute: false }) firstTokenS: number | null = null;
  /** Usage of the last complete answer. */
  @property({ attribute: false }) answer: Usage | null = null;

  protected override render(): TemplateResult {
    const { usage, answer } = this;
    const first = this.firstTokenS ?? answer?.extra.time_to_first_token_s ?? null;
    const rate = this.liveRate ?? answer?.extra.decode_tokens_per_s ?? null;
    return html`<dl>
      ${
        usage === null
          ? nothing
          : html`${row("Tokens seen", "tokens-seen", usage.tokensSeen)}
            ${row("Pairs kept", "pairs-kept", usage.pairsKept)}
            ${row("Pairs evicted", "pairs-evicted", usage.pairsEvicted)}`
      }
      ${
        rate === null
          ? nothing
          : html`<dt>Tokens per second</dt><dd data-testid="tokens-per-second">${formatRate(rate)}</dd>`
      }
      ${
        first === null
          ? nothing
          : html`<dt>Time to first token</dt>
            <dd data-testid="first-token">${formatSeconds(first)}</dd>`
      }
      ${
        answer === null || usage === null
          ? nothing
          : html`<dt>Prompt tokens reused</dt>
            <dd data-testid="tokens-reused" data-count=${answer.prompt_tokens_details.cached_tokens}>
              ${formatCount(answer.prompt_tokens_details.cached_tokens)} of ${formatCount(answer.prompt_tokens)}
            </dd>`
      }
    </dl>`;
  }
}

const row = (label: string, id: string, count: number): TemplateResult =>
  html`<dt>${label}</dt><dd data-testid=${id} data-count=${count}>${formatCount(count)}</dd>`;
