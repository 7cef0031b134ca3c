import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { emit } from "../../events.ts";
import { formatBytes } from "../../format.ts";
import type { StorageUse } from "../../state/storage-store.ts";
import { controls } from "../../styles/controls.ts";

/** What the page keeps on this device, and how to free it. */
@customElement("storage-box")
export class StorageBox extends LitElement {
  static override styles = [
    controls,
    css`
      :host {
        padding: 0 0.75rem 1rem;
      }
      summary {
        padding: 0.4rem;
        cursor: pointer;
      }
      dl {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: 0.25rem 0.8rem;
        margin: 0.3rem 0.4rem;
      }
      dt {
        color: var(--muted);
      }
      dd {
        margin: 0;
        text-align: right;
      }
      p {
        margin: 0.5rem 0.4rem;
      }
      .buttons {
        display: flex;
        flex-wrap: wrap;
        gap: 0.4rem;
        margin: 0.6rem 0.4rem 0;
      }
      .buttons button {
        min-height: 32px;
        font-size: 0.8125rem;
      }
      .remove {
        color: var(--danger);
      }
    `,
  ];

  @property({ attribute: false }) use: StorageUse | null = null;
  @property({ type: Number }) count = 0;
  /** Whether the deletion of all chats waits for a yes. */
  @state() private asked = false;

  protected override render(): TemplateResult {
    return html`<details class="small" data-testid="storage" @toggle=${this.#onToggle}>
      <summary>Storage on this device</summary>
      ${this.use === null ? nothing : this.#figures(this.use)}
    </details>`;
  }

  #figures({ models, chats, caches, used, allowed, lasting }: StorageUse): TemplateResult {
    return html`<dl class="num">
        <dt>Models</dt>
        <dd data-testid="storage-models">${formatBytes(models)}</dd>
        <dt>Chats</dt>
        <dd data-testid="storage-chats">${formatBytes(chats)}</dd>
        <dt>What the model has read of them</dt>
        <dd data-testid="storage-caches">${formatBytes(caches)}</dd>
        ${
          used === null || allowed === null
            ? nothing
            : html`<dt>In all, as the browser counts</dt>
            <dd data-testid="storage-used">${formatBytes(used)} of ${formatBytes(allowed)}</dd>`
        }
      </dl>
      <p class="muted" data-testid="storage-lasting">${
        lasting
          ? "The browser keeps it until you delete it."
          : "The browser may clear it when space runs short."
      }</p>
      <div class="buttons">
        ${lasting ? nothing : html`<button data-testid="storage-ask" @click=${() => emit(this, "keep-storage")}>Ask to keep it</button>`}
        ${models === 0 ? nothing : html`<button data-testid="manage-models" @click=${() => emit(this, "change-model")}>Remove models</button>`}
        ${caches === 0 ? nothing : html`<button data-testid="free-caches" title="Chats are then read again when they go on" @click=${() => emit(this, "free-caches")}>Free what was read</button>`}
        ${this.count === 0 ? nothing : this.#deletion()}
      </div>`;
  }

  #deletion(): TemplateResult {
    if (!this.asked)
      return html`<button data-testid="delete-all" @click=${() => this.#ask(true)}>Delete all chats</button>`;
    return html`<button class="remove" data-testid="delete-all-yes" @click=${this.#onDelete}>Delete ${this.count} for good</button>
      <button class="quiet" data-testid="delete-all-no" @click=${() => this.#ask(false)}>Keep</button>`;
  }

  #ask(asked: boolean): void {
    this.asked = asked;
  }

  readonly #onDelete = (): void => {
    this.asked = false;
    emit(this, "delete-all-chats");
  };

  readonly #onToggle = (event: Event): void => {
    if ((event.target as HTMLDetailsElement).open) emit(this, "show-storage");
  };
}
