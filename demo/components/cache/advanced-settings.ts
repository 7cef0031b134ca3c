import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import { REQUEST_LIMITS } from "../../../src/api/checks/validate-request.ts";
import type { CacheOptions } from "../../../src/api/types.ts";
import type { CacheSettings } from "../../../src/cache/budget.ts";
import { LEAST, MOST } from "../../../src/cache/cache-options.ts";
import { detailOf, emit } from "../../events.ts";
import type { AnswerSettings } from "../../state/chats/chat-types.ts";
import { controls } from "../../styles/controls.ts";
import "../number-field.ts";

/** Protected tokens of the cache, and how answers are drawn. */
@customElement("advanced-settings")
export class AdvancedSettings extends LitElement {
  static override styles = [
    controls,
    css`
      .grid {
        display: grid;
        grid-template-columns: 1fr 1fr;
        gap: 0.9rem 0.8rem;
      }
      .wide {
        grid-column: 1 / -1;
      }
      label {
        display: block;
        margin-bottom: 0.25rem;
      }
      textarea {
        resize: vertical;
      }
      p {
        margin-top: 0.25rem;
      }
      label.check {
        display: flex;
        align-items: baseline;
        gap: 0.4rem;
      }
    `,
  ];

  /** null: a server answers, whose cache is its own. */
  @property({ attribute: false }) cache: CacheSettings | null = null;
  @property({ attribute: false }) answer!: AnswerSettings;

  protected override render(): TemplateResult {
    const { answer } = this;
    return html`<div class="grid small">
      ${this.#kept()}
      <number-field
        name="temperature"
        label="Temperature"
        .value=${answer.temperature}
        .min=${REQUEST_LIMITS.temperature.min}
        .max=${REQUEST_LIMITS.temperature.max}
        step="0.1"
        @number=${(event: Event) => this.#answer({ temperature: detailOf<number>(event) })}
      ></number-field>
      <number-field
        name="max-tokens"
        label="Longest answer"
        .value=${answer.maxTokens}
        .min=${REQUEST_LIMITS.max_tokens.min}
        .max=${REQUEST_LIMITS.max_tokens.max}
        @number=${(event: Event) => this.#answer({ maxTokens: detailOf<number>(event) })}
      ></number-field>
      <div class="wide">
        <label for="system">System prompt</label>
        <textarea
          id="system"
          rows="3"
          data-testid="system"
          placeholder="What the model should know or how it should behave"
          .value=${live(answer.system)}
          @change=${(event: Event) =>
            this.#answer({ system: (event.target as HTMLTextAreaElement).value })}
        ></textarea>
        <p class="muted">Applies from the next message${this.cache === null ? "" : "; the chat so far is then read again"}.</p>
      </div>
    </div>`;
  }

  #kept(): TemplateResult | typeof nothing {
    if (this.cache === null) return nothing;
    const { window, sinks, wholeLayers } = this.cache;
    return html`${this.#setting("window", "window", "Recent tokens kept", window)}
      ${this.#setting("sinks", "sinks", "First tokens kept", sinks)}
      ${this.#setting("wholeLayers", "whole-layers", "Layers kept whole", wholeLayers)}
      ${this.#twice()}`;
  }

  #twice(): TemplateResult | typeof nothing {
    const { policy, reread } = this.cache!;
    if (policy !== "winnow") return nothing;
    return html`<div class="wide">
      <label class="check">
        <input
          type="checkbox"
          data-testid="reread"
          .checked=${live(reread)}
          @change=${(event: Event) =>
            emit<CacheOptions>(this, "cache-request", {
              reread: (event.target as HTMLInputElement).checked,
            })}
        />
        Read long prompts twice
      </label>
      <p class="muted">More of what you ask later is found; reading takes over twice as long. On where a chat begins with a document.</p>
    </div>`;
  }

  #setting(
    key: "window" | "sinks" | "wholeLayers",
    name: string,
    label: string,
    value: number,
  ): TemplateResult {
    return html`<number-field
      name=${name}
      label=${label}
      .value=${value}
      .min=${LEAST[key]}
      .max=${MOST}
      @number=${(event: Event) =>
        emit<CacheOptions>(this, "cache-request", { [key]: detailOf<number>(event) })}
    ></number-field>`;
  }

  #answer(change: Partial<AnswerSettings>): void {
    emit<Partial<AnswerSettings>>(this, "answer-settings", change);
  }
}
