import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import type { CacheOptions, CacheUsage, EngineInfo } from "../../../src/api/types.ts";
import type { CacheSettings } from "../../../src/cache/budget.ts";
import { BUDGETS, budgetStep } from "../../budgets.ts";
import { emit } from "../../events.ts";
import { formatBytes, formatCount } from "../../format.ts";
import { controls } from "../../styles/controls.ts";

/** Cache budget in pairs per head, and in bytes, on a log scale; it acts while the model talks. */
@customElement("budget-slider")
export class BudgetSlider extends LitElement {
  static override styles = [
    controls,
    css`
      .head {
        display: flex;
        flex-wrap: wrap;
        justify-content: space-between;
        align-items: baseline;
        column-gap: 0.75rem;
      }
      label {
        font-weight: 600;
      }
      output {
        font-weight: 600;
        color: var(--wheat-text);
      }
      input[type="range"] {
        width: 100%;
        height: 32px;
        margin: 0;
        background: none;
        appearance: none;
        cursor: grab;
        --at: calc(var(--part) * 100%);
      }
      input::-webkit-slider-runnable-track {
        height: 8px;
        border-radius: 4px;
        background: linear-gradient(to right, var(--wheat) var(--at), var(--sunken) var(--at));
      }
      input::-moz-range-track {
        height: 8px;
        border-radius: 4px;
        background: var(--sunken);
      }
      input::-moz-range-progress {
        height: 8px;
        border-radius: 4px;
        background: var(--wheat);
      }
      input::-webkit-slider-thumb {
        appearance: none;
        width: 18px;
        height: 26px;
        margin-top: -9px;
        border: 2px solid var(--wheat);
        border-radius: 50%;
        background: var(--raised);
        box-shadow: 0 1px 4px rgb(0 0 0 / 22%);
      }
      input::-moz-range-thumb {
        width: 14px;
        height: 22px;
        border: 2px solid var(--wheat);
        border-radius: 50%;
        background: var(--raised);
      }
      .ends {
        display: flex;
        justify-content: space-between;
        margin-top: -0.15rem;
      }
    `,
  ];

  @property({ attribute: false }) settings!: CacheSettings;
  /** What is in force, with its bytes. */
  @property({ attribute: false }) usage: CacheUsage | null = null;
  /** What a pair costs; null until a model is loaded. */
  @property({ attribute: false }) cost: EngineInfo["cache"] | null = null;

  protected override render(): TemplateResult {
    const { budget } = this.settings;
    const step = budgetStep(budget);
    const text = budget === "full" ? "no limit" : `${formatCount(budget)} pairs per head`;
    const size = this.#size(budget);
    return html`<div class="head">
        <label for="budget">Cache budget</label>
        <output class="num" for="budget" aria-live="off" data-testid="budget-value">${text}</output>
      </div>
      <input
        id="budget"
        type="range"
        data-testid="budget"
        min="0"
        max=${BUDGETS.length - 1}
        step="1"
        .style=${`--part: ${step / (BUDGETS.length - 1)}`}
        .value=${live(String(step))}
        aria-valuetext=${size === "" ? text : `${text}, ${size}`}
        aria-describedby="budget-help"
        @input=${this.#onInput}
      />
      <div class="ends small muted num" aria-hidden="true"><span>64</span><span data-testid="budget-bytes">${size}</span><span>full</span></div>
      <span class="hidden-text" id="budget-help">Takes effect at once, also while an answer streams.</span>`;
  }

  /** What the chat takes at most: as the engine says, or about, as long as a budget is not in force. */
  #size(budget: number | "full"): string {
    const { usage, cost } = this;
    if (budget === "full") return "grows with the chat";
    if (usage?.budget === budget && usage.budgetBytes !== "full")
      return `at most ${formatBytes(usage.budgetBytes)}`;
    return cost === null ? "" : `about ${formatBytes(budget * cost.heads * cost.pairBytes)}`;
  }

  readonly #onInput = (event: Event): void => {
    const step = Number((event.target as HTMLInputElement).value);
    emit<CacheOptions>(this, "cache-request", { budget: BUDGETS[step]! });
  };
}
