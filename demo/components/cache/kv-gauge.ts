import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { CacheUsage } from "../../../src/api/types.ts";
import { formatBytes, formatFactor } from "../../format.ts";
import { controls } from "../../styles/controls.ts";

/** KV bytes now against what an uncompressed cache of the same tokens would hold. */
@customElement("kv-gauge")
export class KvGauge extends LitElement {
  static override styles = [
    controls,
    css`
      .now {
        display: flex;
        white-space: nowrap;
        align-items: baseline;
        gap: 0.5rem;
      }
      .now strong {
        font: 500 1.75rem/1.1 var(--display);
        font-variant-numeric: tabular-nums lining-nums;
      }
      .factor {
        margin-left: auto;
        padding: 0.1rem 0.55rem;
        border-radius: 999px;
        background: var(--wheat-soft);
        color: var(--wheat-text);
        font-size: 0.8125rem;
        font-weight: 600;
      }
      .track {
        position: relative;
        height: 14px;
        margin: 0.6rem 0 0.45rem;
        border-radius: 7px;
        border: 1px solid var(--line);
        background: repeating-linear-gradient(-55deg, var(--chaff) 0 2px, transparent 2px 6px);
        overflow: hidden;
      }
      .fill {
        height: 100%;
        background: var(--wheat);
        transition: width 240ms ease-out;
      }
    `,
  ];

  @property({ attribute: false }) usage: CacheUsage | null = null;

  protected override render(): TemplateResult {
    const bytes = this.usage?.bytes ?? 0;
    const whole = Math.max(this.usage?.bytesUncompressed ?? 0, 0);
    const max = Math.max(whole, bytes, 1);
    const factor = formatFactor(whole, bytes);
    const sentence = `${formatBytes(bytes)} held, ${formatBytes(whole)} if nothing were dropped`;
    return html`<div class="now">
        <strong data-testid="gauge-bytes" data-bytes=${bytes}>${formatBytes(bytes)}</strong>
        <span class="muted small">held now</span>
        ${factor === "" ? nothing : html`<span class="factor num" data-testid="gauge-factor">${factor} smaller</span>`}
      </div>
      <div
        class="track"
        role="meter"
        aria-label="Key-value cache against an uncompressed one"
        aria-valuemin="0"
        aria-valuemax=${max}
        aria-valuenow=${bytes}
        aria-valuetext=${sentence}
      >
        <div class="fill" .style=${`width: ${(100 * bytes) / max}%`}></div>
      </div>
      <p class="small muted num">
        Uncompressed it would be
        <span data-testid="gauge-uncompressed" data-bytes=${whole}>${formatBytes(whole)}</span>
      </p>`;
  }
}
