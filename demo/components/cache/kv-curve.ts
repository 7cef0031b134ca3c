import { css, html, LitElement, nothing, svg, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { formatBytes, formatCount } from "../../format.ts";
import type { KvSample } from "../../state/kv-history.ts";
import { controls } from "../../styles/controls.ts";

const WIDTH = 300;
const HEIGHT = 84;

/** KV bytes over tokens: what is held against the straight line of a cache that drops nothing. */
@customElement("kv-curve")
export class KvCurve extends LitElement {
  static override styles = [
    controls,
    css`
      svg {
        display: block;
        width: 100%;
        height: 84px;
        overflow: visible;
      }
      .whole {
        fill: none;
        stroke: var(--line-strong);
        stroke-dasharray: 3 4;
      }
      .held {
        fill: none;
        stroke: var(--wheat);
        stroke-width: 2.25;
        stroke-linejoin: round;
      }
      .area {
        fill: var(--wheat-soft);
        opacity: 0.7;
      }
      path {
        vector-effect: non-scaling-stroke;
      }
      .axis {
        display: flex;
        justify-content: space-between;
        margin-top: 0.3rem;
        padding-top: 0.25rem;
        border-top: 1px solid var(--line);
      }
    `,
  ];

  @property({ attribute: false }) history: readonly KvSample[] = [];

  protected override render(): TemplateResult | typeof nothing {
    const last = this.history.at(-1);
    if (last === undefined || last.tokens === 0 || this.history.length < 3) return nothing;
    const top = Math.max(
      ...this.history.map(({ bytes, uncompressed }) => Math.max(bytes, uncompressed)),
    );
    const x = (sample: KvSample): string => ((WIDTH * sample.tokens) / last.tokens).toFixed(1);
    const y = (bytes: number): string => (HEIGHT - ((HEIGHT - 4) * bytes) / top).toFixed(1);
    const line = (pick: (sample: KvSample) => number): string =>
      this.history.map((s, i) => `${i === 0 ? "M" : "L"}${x(s)} ${y(pick(s))}`).join("");
    const held = line(({ bytes }) => bytes);
    const label = `Over ${formatCount(last.tokens)} tokens the cache grew to ${formatBytes(last.bytes)}; uncompressed it would have grown to ${formatBytes(last.uncompressed)}.`;
    return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
        ${svg`<path class="area" d="${held}L${WIDTH} ${HEIGHT}L${x(this.history[0]!)} ${HEIGHT}Z" />
        <path class="whole" d=${line(({ uncompressed }) => uncompressed)} />
        <path class="held" d=${held} />`}
      </svg>
      <div class="axis small muted num" aria-hidden="true">
        <span>bytes over tokens</span><span>${formatCount(last.tokens)} tokens</span>
      </div>`;
  }
}
