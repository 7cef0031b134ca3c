import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { live } from "lit/directives/live.js";
import type { CacheOptions, PolicyName } from "../../../src/api/types.ts";
import { POLICIES } from "../../../src/cache/policies/index.ts";
import { emit } from "../../events.ts";
import { controls } from "../../styles/controls.ts";

/** Who decides what the cache lets go, with one line on how. */
@customElement("policy-menu")
export class PolicyMenu extends LitElement {
  static override styles = [
    controls,
    css`
      label {
        display: block;
        margin-bottom: 0.35rem;
        font-weight: 600;
      }
      p {
        margin-top: 0.4rem;
      }
    `,
  ];

  @property() policy: PolicyName = "winnow";

  protected override render(): TemplateResult {
    const chosen = POLICIES[this.policy];
    return html`<label for="policy">Eviction policy</label>
      <select
        id="policy"
        data-testid="policy"
        aria-describedby="explanation"
        .value=${live(this.policy)}
        @change=${this.#onChange}
      >
        ${Object.entries(POLICIES).map(([name, { label }]) => html`<option value=${name} ?selected=${name === this.policy}>${label}</option>`)}
      </select>
      <p class="small muted" id="explanation">${chosen.explanation}</p>`;
  }

  readonly #onChange = (event: Event): void => {
    const policy = (event.target as HTMLSelectElement).value as PolicyName;
    emit<CacheOptions>(this, "cache-request", { policy });
  };
}
