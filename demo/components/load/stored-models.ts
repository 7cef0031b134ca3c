import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { StoredModel } from "../../../src/index.ts";
import { emit } from "../../events.ts";
import { formatBytes, formatDay } from "../../format.ts";
import type { ModelChoice } from "../../state/models.ts";
import type { StoredStore } from "../../state/stored-store.ts";
import { controls } from "../../styles/controls.ts";

/** The models that this browser keeps: to load again, or to remove. */
@customElement("stored-models")
export class StoredModels extends LitElement {
  static override styles = [
    controls,
    css`
      summary {
        width: fit-content;
        color: var(--pine);
        cursor: pointer;
      }
      ul {
        margin: 0.6rem 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: 0.1rem 0.75rem;
        align-items: center;
        padding: 0.6rem 0;
        border-top: 1px solid var(--line);
      }
      li:first-child {
        border-top: 0;
      }
      .name {
        overflow-wrap: anywhere;
        font-weight: 550;
      }
      .buttons {
        display: flex;
        grid-row: span 2;
        gap: 0.35rem;
      }
      .buttons button {
        padding: 0 0.75em;
        font-size: 0.875rem;
      }
      .remove {
        color: var(--danger);
      }
      .error {
        grid-column: 1 / -1;
        margin-top: 0.35rem;
      }
      @media (max-width: 430px) {
        li {
          grid-template-columns: minmax(0, 1fr);
        }
        .buttons {
          grid-row: 3;
          margin-top: 0.35rem;
        }
      }
    `,
  ];

  @property({ attribute: false }) models: readonly StoredModel[] = [];
  /** What each registered model is called. */
  @property({ attribute: false }) labels: ReadonlyMap<string, string> = new Map();
  @property({ attribute: false }) refusal: StoredStore["refusal"] = null;
  /** The model that is to be removed, once that is confirmed. */
  @state() private asked: string | null = null;

  protected override render(): TemplateResult | typeof nothing {
    const { models } = this;
    if (models.length === 0) return nothing;
    const bytes = models.reduce((sum, model) => sum + model.bytes, 0);
    return html`<details data-testid="stored-models">
      <summary>
        Stored in this browser: ${models.length === 1 ? "1 model" : `${models.length} models`}, ${formatBytes(bytes)}
      </summary>
      <ul>
        ${models.map((model) => this.#row(model))}
      </ul>
    </details>`;
  }

  #row(model: StoredModel): TemplateResult {
    const { source } = model;
    const label = this.#label(model);
    const refused = this.refusal?.source === source ? this.refusal.error : null;
    return html`<li data-testid="stored" data-source=${source}>
      <span class="name" title=${source}>${label}</span>
      <span class="buttons">
        ${this.asked === source ? this.#confirmation(model, label) : this.#actions(model, label)}
      </span>
      <span class="small muted num" data-testid="stored-facts">${facts(model)}</span>
      ${
        refused === null
          ? nothing
          : html`<div class="error" role="alert"><p>${refused.message}</p><p>${refused.hint}</p></div>`
      }
    </li>`;
  }

  #actions({ source, bytes, complete }: StoredModel, label: string): TemplateResult {
    const choice: ModelChoice = { label, source, bytes: complete ? bytes : null };
    return html`<button data-testid="load-stored" aria-label="${complete ? "Load" : "Resume"} ${label}" @click=${() => emit(this, "load-model", choice)}>
        ${complete ? "Load" : "Resume"}
      </button>
      <button class="quiet" data-testid="remove" aria-label="Remove ${label}" @click=${() => this.#ask(source)}>Remove</button>`;
  }

  #confirmation({ source, bytes }: StoredModel, label: string): TemplateResult {
    return html`<button class="remove" data-testid="remove-yes" aria-label="Remove ${label}, ${formatBytes(bytes)}, for good" @click=${() => this.#remove(source)}>
        Remove ${formatBytes(bytes)}
      </button>
      <button class="quiet" data-testid="remove-no" @click=${() => this.#ask(null)}>Keep</button>`;
  }

  #label({ name, source }: StoredModel): string {
    return this.labels.get(source) ?? name;
  }

  /** The button that was pressed goes: what is answered next has the focus. */
  #ask(source: string | null): void {
    const before = this.asked;
    this.asked = source;
    void this.updateComplete.then(() => {
      const row = this.renderRoot.querySelector(
        `[data-source="${CSS.escape(source ?? before ?? "")}"]`,
      );
      row
        ?.querySelector<HTMLElement>(
          source === null ? "[data-testid=remove]" : "[data-testid=remove-no]",
        )
        ?.focus();
    });
  }

  #remove(source: string): void {
    this.asked = null;
    emit<string>(this, "remove-model", source);
  }
}

function facts({ bytes, complete, verified, lastUsed }: StoredModel): string {
  return [
    complete ? formatBytes(bytes) : `${formatBytes(bytes)} so far`,
    ...(lastUsed === undefined ? [] : [`used ${formatDay(lastUsed)}`]),
    ...(complete ? [verified ? "verified" : "not verified"] : ["download not finished"]),
  ].join(" · ");
}
