import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import type { CacheOptions } from "../../src/api/types.ts";
import { emit } from "../events.ts";
import type { CacheSettings } from "../state/cache-settings.ts";
import type { AnswerSettings } from "../state/chat-store.ts";
import { controls } from "../styles/controls.ts";

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
    `,
  ];

  @property({ attribute: false }) cache!: CacheSettings;
  @property({ attribute: false }) answer!: AnswerSettings;

  protected override render(): TemplateResult {
    const { cache, answer } = this;
    return html`<div class="grid small">
      ${this.#number("window", "Recent tokens kept", cache.window, 0, 4096, 1, (window) =>
        emit<CacheOptions>(this, "cache-request", { window }),
      )}
      ${this.#number("sinks", "First tokens kept", cache.sinks, 0, 256, 1, (sinks) =>
        emit<CacheOptions>(this, "cache-request", { sinks }),
      )}
      ${this.#number(
        "whole-layers",
        "Layers kept whole",
        cache.wholeLayers,
        0,
        128,
        1,
        (wholeLayers) => emit<CacheOptions>(this, "cache-request", { wholeLayers }),
      )}
      ${this.#number("temperature", "Temperature", answer.temperature, 0, 2, 0.1, (temperature) =>
        emit<Partial<AnswerSettings>>(this, "answer-settings", { temperature }),
      )}
      ${this.#number("max-tokens", "Longest answer", answer.maxTokens, 1, 8192, 1, (maxTokens) =>
        emit<Partial<AnswerSettings>>(this, "answer-settings", { maxTokens }),
      )}
      <div class="wide">
        <label for="system">System prompt</label>
        <textarea
          id="system"
          rows="3"
          data-testid="system"
          placeholder="What the model should know or how it should behave"
          .value=${live(answer.system)}
          @change=${(event: Event) =>
            emit<Partial<AnswerSettings>>(this, "answer-settings", {
              system: (event.target as HTMLTextAreaElement).value,
            })}
        ></textarea>
        <p class="muted">Applies from the next message; the chat so far is then read again.</p>
      </div>
    </div>`;
  }

  #number(
    id: string,
    label: string,
    value: number,
    min: number,
    max: number,
    step: number,
    take: (value: number) => void,
  ): TemplateResult {
    const onChange = (event: Event): void => {
      const field = event.target as HTMLInputElement;
      const next = field.valueAsNumber;
      if (field.checkValidity() && Number.isFinite(next)) take(next);
      else field.value = String(value);
    };
    return html`<div>
      <label for=${id}>${label}</label>
      <input
        type="number"
        id=${id}
        data-testid=${id}
        min=${min}
        max=${max}
        step=${step}
        .value=${live(String(value))}
        @change=${onChange}
      />
    </div>`;
  }
}
