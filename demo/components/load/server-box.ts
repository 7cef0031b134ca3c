import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { InferenceMode } from "../../../src/api/types.ts";
import { emit } from "../../events.ts";
import type { ServerSettings } from "../../state/server-settings.ts";
import { controls } from "../../styles/controls.ts";

const MODES: readonly (readonly [InferenceMode, string])[] = [
  ["only-on-device", "Never: this device alone"],
  ["prefer-on-device", "Where this device cannot"],
  ["prefer-in-cloud", "First, this device if it is away"],
  ["only-in-cloud", "Always: load no model here"],
];

/** A server that may answer in this device's place, and when. */
@customElement("server-box")
export class ServerBox extends LitElement {
  static override styles = [
    controls,
    css`
      summary {
        width: fit-content;
        color: var(--pine);
        cursor: pointer;
      }
      .fields {
        display: grid;
        gap: 0.7rem;
        margin: 0.9rem 0 0;
      }
      label {
        display: grid;
        gap: 0.25rem;
        font-size: 0.875rem;
      }
      label.check {
        display: flex;
        gap: 0.5rem;
        align-items: center;
      }
      :is(input:not([type="checkbox"]), select) {
        width: 100%;
        min-height: 38px;
      }
    `,
  ];

  @property({ attribute: false }) settings!: ServerSettings;

  protected override render(): TemplateResult {
    const { mode, baseURL, model, apiKey, keepKey } = this.settings;
    return html`<details ?open=${mode !== "only-on-device"} data-testid="server-box">
      <summary>Let a server help</summary>
      <div class="fields">
        <label>
          When it answers
          <select data-testid="server-mode" @change=${this.#change("mode")}>
            ${MODES.map(([value, text]) => html`<option value=${value} ?selected=${value === mode}>${text}</option>`)}
          </select>
        </label>
        <label>
          Address (OpenAI's API)
          <input type="url" data-testid="server-url" placeholder="http://127.0.0.1:8080/v1" .value=${baseURL} @change=${this.#change("baseURL")} />
        </label>
        <label>
          Its model
          <input type="text" data-testid="server-model" autocapitalize="off" spellcheck="false" .value=${model} @change=${this.#change("model")} />
        </label>
        <label>
          Key, if it asks for one
          <input type="password" data-testid="server-key" autocomplete="off" .value=${apiKey} @change=${this.#change("apiKey")} />
        </label>
        <label class="check">
          <input type="checkbox" data-testid="server-keep-key" .checked=${keepKey} @change=${this.#keepKey} />
          Keep the key on this device
        </label>
        <p class="small muted">What you write is sent to this server when it answers. A badge at the top says who does.</p>
      </div>
    </details>`;
  }

  #change(name: "mode" | "baseURL" | "model" | "apiKey") {
    return (event: Event): void => {
      const { value } = event.target as HTMLInputElement;
      this.#tell({ [name]: value.trim() });
    };
  }

  readonly #keepKey = (event: Event): void =>
    this.#tell({ keepKey: (event.target as HTMLInputElement).checked });

  #tell(change: Partial<ServerSettings>): void {
    emit(this, "server-settings", { ...this.settings, ...change });
  }
}
