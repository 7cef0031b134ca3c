import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { emit } from "../../events.ts";
import type { Refusal } from "../../state/cache-store.ts";
import { controls } from "../../styles/controls.ts";

/** Why the engine did not take a setting, what to do, and a button that does it where there is one. */
@customElement("cache-refusal")
export class CacheRefusal extends LitElement {
  static override styles = controls;

  @property({ attribute: false }) refusal: Refusal | null = null;

  protected override render(): TemplateResult | typeof nothing {
    if (this.refusal === null) return nothing;
    const { error, remedy } = this.refusal;
    return html`<div class="error" role="alert" data-testid="cache-error" data-code=${error.code}>
      <p>${inWords(error.message)}</p>
      ${error.hint === "" ? nothing : html`<p>${error.hint}</p>`}
      ${
        remedy === null
          ? nothing
          : html`<button class="link" data-testid="remedy" @click=${() => emit(this, "cache-request", remedy)}>
            Use a budget of ${remedy.budget} with a window of ${remedy.window}
          </button>`
      }
    </div>`;
  }
}

const NAMES: Readonly<Record<string, string>> = {
  budget: "Cache budget",
  policy: "Eviction policy",
  window: "Recent tokens kept",
  sinks: "First tokens kept",
  wholeLayers: "Layers kept whole",
};

/** A message about an option, by the name that it has on the page. */
const inWords = (message: string): string =>
  message.replace(/^cache\.(\w+)/, (option, name: string) => NAMES[name] ?? option);
