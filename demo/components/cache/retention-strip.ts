import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import type { Retention } from "../../../src/api/types.ts";
import { formatCount, visibleToken } from "../../format.ts";
import { layOut, type StripLayout, summarise } from "../../retention-layout.ts";
import { controls } from "../../styles/controls.ts";
import { paintStrip, ROW_PX } from "./paint-strip.ts";
import "./token-reader.ts";

/** Tokens of the text that are shown on either side of those under the pointer. */
const CONTEXT = 12;

const visibleText = ({ tokens }: Retention, from: number, to: number): string =>
  tokens.slice(Math.max(0, from), to).join("").replace(/\s+/g, " ");

/** A bar for each token of the conversation: the taller and fuller, the more heads still keep it. */
@customElement("retention-strip")
export class RetentionStrip extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .inner {
        max-width: 46rem;
        margin: 0 auto;
        padding: 0.5rem 1.25rem 0.55rem;
      }
      .head {
        display: flex;
        align-items: center;
        gap: 0.3rem 0.9rem;
        min-height: 30px;
      }
      .head .words {
        flex: 1;
        min-width: 0;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .words b {
        font: 0.8125rem var(--mono);
        padding: 0 0.3em;
        border-radius: 4px;
        background: var(--sunken);
        white-space: pre;
      }
      .here {
        color: var(--ink);
        font-weight: 600;
      }
      .legend {
        display: inline-flex;
        align-items: flex-end;
        gap: 2px;
        color: var(--muted);
      }
      .legend i {
        width: 4px;
        border-radius: 1.5px;
        background: var(--chaff);
      }
      .legend i:nth-of-type(1) {
        height: 4px;
        margin: 0 0 4px 0.4em;
      }
      .legend i:nth-of-type(2) {
        height: 8px;
        margin-bottom: 4px;
        background: color-mix(in srgb, var(--wheat) 50%, var(--chaff));
      }
      .legend i:nth-of-type(3) {
        height: 13px;
        margin: 0 0.4em 4px 0;
        background: var(--wheat);
      }
      button {
        min-height: 28px;
        padding: 0 0.7em;
        font-size: 0.8125rem;
      }
      canvas {
        display: block;
        width: 100%;
        margin-top: 0.3rem;
        border-radius: 4px;
        cursor: crosshair;
        touch-action: pan-y;
      }
      @media (max-width: 600px) {
        .inner {
          padding-inline: 0.9rem;
        }
        .legend,
        .wide {
          display: none;
        }
      }
    `,
  ];

  @property({ attribute: false }) retention: Retention | null = null;
  @state() private at: number | null = null;
  @state() private open = false;
  @state() private width = 0;
  @query("canvas") private canvas!: HTMLCanvasElement | null;
  #layout: StripLayout | null = null;
  readonly #resized = new ResizeObserver(([entry]) => {
    this.width = Math.floor(entry!.contentRect.width) - 40;
  });
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");
  readonly #repaint = (): void => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resized.observe(this);
    this.#scheme.addEventListener("change", this.#repaint);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
    this.#scheme.removeEventListener("change", this.#repaint);
  }

  protected override render(): TemplateResult | typeof nothing {
    const { retention } = this;
    if (retention === null || retention.kept.length === 0) return nothing;
    this.#layout = layOut(retention, Math.min(this.width, 728));
    if (this.at !== null && this.at >= this.#layout.cells.length) this.at = null;
    return html`<section class="inner" aria-label="What the cache still holds" data-testid="retention">
      <div class="head small">
        <span class="words num" data-testid="retention-words">${this.#words(retention)}</span>
        ${
          // The words under the pointer take its place.
          this.at !== null
            ? nothing
            : html`<span class="legend" role="img" aria-label="A short pale bar: dropped. A tall full bar: kept by every head.">
                dropped<i></i><i></i><i></i>kept
              </span>`
        }
        <button aria-expanded=${this.open ? "true" : "false"} data-testid="read-tokens" @click=${this.#toggle}>
          ${this.open ? "Hide tokens" : "Read tokens"}
        </button>
      </div>
      <canvas
        height=${this.#layout.rows * ROW_PX}
        tabindex="0"
        role="slider"
        aria-label="Tokens of the conversation"
        aria-valuemin="1"
        aria-valuemax=${this.#layout.cells.length}
        aria-valuenow=${(this.at ?? this.#layout.cells.length - 1) + 1}
        aria-valuetext=${this.#spoken(retention)}
        @pointermove=${this.#onPointer}
        @pointerdown=${this.#onPointer}
        @pointerleave=${this.#onLeave}
        @keydown=${this.#onKey}
        @blur=${this.#onLeave}
      ></canvas>
      ${this.open ? html`<token-reader .retention=${retention}></token-reader>` : nothing}
    </section>`;
  }

  protected override updated(): void {
    if (this.canvas !== null && this.#layout !== null)
      paintStrip(this.canvas, this.#layout, this.at, getComputedStyle(this));
  }

  #words(retention: Retention): TemplateResult {
    const cell = this.at === null ? undefined : this.#layout?.cells[this.at];
    if (cell === undefined) {
      const { share, whole, gone } = summarise(retention);
      return html`<span class="hidden-text">Summary:</span>
        ${Math.round(share * 100)} % <span class="wide">of all pairs </span>kept ·
        ${formatCount(whole)} <span class="wide">tokens </span>whole · ${formatCount(gone)} gone`;
    }
    const text = retention.tokens.slice(cell.from, cell.to).map(visibleToken).join("");
    const which =
      cell.to - cell.from === 1
        ? `token ${cell.from + 1}`
        : `tokens ${cell.from + 1} to ${cell.to}`;
    const heads = Math.round(cell.share * retention.heads);
    const before = visibleText(retention, cell.from - CONTEXT, cell.from);
    const after = visibleText(retention, cell.to, cell.to + CONTEXT);
    return html`<b>${text.slice(0, 24)}</b> kept by ${heads} of ${retention.heads} heads · ${which}
      <span class="muted wide" data-testid="retention-context">· ${before}<span class="here">${text}</span>${after}</span>`;
  }

  #spoken(retention: Retention): string {
    const cell = this.at === null ? undefined : this.#layout?.cells[this.at];
    if (cell === undefined) {
      const { tokens, whole, part, gone } = summarise(retention);
      return `${tokens} tokens: ${whole} kept by every head, ${part} by some, ${gone} by none. Arrow keys read them one by one.`;
    }
    const text = retention.tokens.slice(cell.from, cell.to).join("");
    return `${text}, kept by ${Math.round(cell.share * retention.heads)} of ${retention.heads} heads`;
  }

  readonly #toggle = (): void => {
    this.open = !this.open;
  };

  readonly #onPointer = (event: PointerEvent): void => {
    if (this.#layout === null || this.canvas === null) return;
    const { columns, cells } = this.#layout;
    const column = Math.floor((event.offsetX / this.canvas.clientWidth) * columns);
    const index = Math.floor(event.offsetY / ROW_PX) * columns + column;
    this.at = index >= 0 && index < cells.length ? index : null;
  };

  readonly #onLeave = (): void => {
    this.at = null;
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    const last = (this.#layout?.cells.length ?? 0) - 1;
    const columns = this.#layout?.columns ?? 1;
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -last - 1,
      End: last + 1,
    };
    const step = steps[event.key];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    this.at = this.at === null ? last : Math.min(last, Math.max(0, this.at + step));
  };
}
