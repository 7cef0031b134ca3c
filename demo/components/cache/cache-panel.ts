import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type {
  CacheUsage,
  EngineInfo,
  LoadProgress,
  MemoryReport,
  Usage,
} from "../../../src/api/types.ts";
import type { CacheSettings } from "../../../src/cache/budget.ts";
import { emit } from "../../events.ts";
import type { Refusal } from "../../state/cache-store.ts";
import type { CalibrationPhase } from "../../state/calibration-store.ts";
import type { AnswerSettings } from "../../state/chats/chat-types.ts";
import type { KvSample } from "../../state/kv-history.ts";
import { controls } from "../../styles/controls.ts";
import { warnIcon } from "../icons.ts";
import "./advanced-settings.ts";
import "./budget-slider.ts";
import "./cache-figures.ts";
import "./cache-refusal.ts";
import "./calibrate-box.ts";
import "./kv-curve.ts";
import "./kv-gauge.ts";
import "./memory-table.ts";
import "./policy-menu.ts";

/** Everything about the cache in one column: what it costs, what steers it, what it did. */
@customElement("cache-panel")
export class CachePanel extends LitElement {
  static override styles = [
    controls,
    css`
      section {
        padding: 1.1rem 1.25rem;
      }
      section + section,
      details {
        border-top: 1px solid var(--line);
      }
      policy-menu {
        margin-top: 1.1rem;
      }
      kv-curve {
        margin-top: 1rem;
      }
      summary {
        padding: 0.8rem 1.25rem;
        font-weight: 600;
        cursor: pointer;
      }
      summary:focus-visible {
        outline-offset: -3px;
      }
      details > :last-child {
        padding: 0.1rem 1.25rem 1.2rem;
      }
      ul {
        margin: 0;
        padding: 0.85rem 1.25rem;
        border-bottom: 1px solid var(--line);
        background: var(--caution-soft);
        color: var(--caution);
        list-style: none;
      }
      li {
        display: flex;
        gap: 0.5rem;
      }
      cache-refusal {
        margin: 0.5rem 0;
      }
      calibrate-box {
        display: block;
        margin-top: 1.1rem;
      }
      .save {
        margin-top: 0.7rem;
      }
      li + li {
        margin-top: 0.5rem;
      }
      li .icon {
        margin-top: 0.12em;
      }
    `,
  ];

  @property({ attribute: false }) settings!: CacheSettings;
  @property({ attribute: false }) usage: CacheUsage | null = null;
  @property({ attribute: false }) memory: MemoryReport | null = null;
  @property({ attribute: false }) info: EngineInfo | null = null;
  @property({ attribute: false }) history: readonly KvSample[] = [];
  @property({ attribute: false }) refusal: Refusal | null = null;
  @property({ attribute: false }) liveRate: number | null = null;
  @property({ attribute: false }) firstTokenS: number | null = null;
  @property({ attribute: false }) lastAnswer: Usage | null = null;
  @property({ attribute: false }) answerSettings!: AnswerSettings;
  /** While an answer is under way. */
  @property({ type: Boolean }) busy = false;
  @property({ attribute: false }) calibration!: CalibrationPhase;
  /** A server answers, whose cache cannot be seen or set. */
  @property({ type: Boolean }) elsewhere = false;
  /** How far the model is that will answer then. */
  @property({ attribute: false }) download: LoadProgress | null = null;

  protected override render(): TemplateResult {
    if (this.elsewhere)
      return html`<section aria-label="Cache" class="small" data-testid="elsewhere">
          ${this.#whileDownloading()}
        </section>
        ${this.#figures()}
        <section aria-label="Answers">
          <advanced-settings .answer=${this.answerSettings}></advanced-settings>
        </section>`;
    const { asked } = this.refusal ?? {};
    /** Whether what was refused is set in the advanced part. */
    const protection = asked !== undefined && !("budget" in asked) && !("policy" in asked);
    return html`${this.#notices()}
      <section aria-label="Cache size">
        <kv-gauge .usage=${this.usage}></kv-gauge>
        <kv-curve ?hidden=${this.history.length < 3} .history=${this.history}></kv-curve>
      </section>
      <section aria-label="Cache settings">
        <budget-slider
          .settings=${this.settings}
          .usage=${this.usage}
          .cost=${this.info?.cache ?? null}
        ></budget-slider>
        <cache-refusal .refusal=${protection ? null : this.refusal}></cache-refusal>
        <policy-menu .policy=${this.settings.policy}></policy-menu>
      </section>
      ${this.#figures()}
      <details data-testid="memory">
        <summary>GPU memory</summary>
        <memory-table .memory=${this.memory} .info=${this.info}></memory-table>
      </details>
      <details data-testid="advanced">
        <summary>Advanced</summary>
        <div>
          <cache-refusal .refusal=${protection ? this.refusal : null}></cache-refusal>
          <advanced-settings .cache=${this.settings} .answer=${this.answerSettings}></advanced-settings>
          <calibrate-box .phase=${this.calibration}></calibrate-box>
        </div>
      </details>`;
  }

  #whileDownloading(): string {
    if (this.download === null) return "A server answers, and keeps its cache to itself.";
    const { loaded, total } = this.download;
    const part = total > 0 ? `: ${Math.floor((100 * loaded) / total)} %` : "";
    return `A server answers while the model is downloaded${part}.`;
  }

  #figures(): TemplateResult {
    return html`<section aria-label="Figures" class="small">
      <cache-figures
        .usage=${this.elsewhere ? null : this.usage}
        .liveRate=${this.liveRate}
        .firstTokenS=${this.firstTokenS}
        .answer=${this.lastAnswer}
      ></cache-figures>
      ${
        this.busy || this.elsewhere || !this.usage?.tokensSeen
          ? nothing
          : html`<button class="link save" data-testid="save-context" title="A .winnow file, which this page or an app opens in place of reading" @click=${() => emit(this, "save-context")}>Save what was read</button>`
      }
    </section>`;
  }

  #notices(): TemplateResult | typeof nothing {
    if (this.info === null) return nothing;
    const { adapter, notices } = this.info;
    const shown = adapter.fallback
      ? ["Running on a software adapter: expect a few tokens per second.", ...notices]
      : notices;
    if (shown.length === 0) return nothing;
    return html`<ul class="small" aria-label="Notices" data-testid="notices">
      ${shown.map((text) => html`<li>${warnIcon}<span>${text}</span></li>`)}
    </ul>`;
  }
}
