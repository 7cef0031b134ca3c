import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { emit } from "../../events.ts";
import { formatDay } from "../../format.ts";
import type { ChatRecord } from "../../state/chats/chat-types.ts";
import { controls } from "../../styles/controls.ts";
import { binIcon, editIcon, saveIcon } from "../icons.ts";

export interface Renaming {
  readonly record: ChatRecord;
  readonly title: string;
}

/** A chat in the list: to open, rename, export or delete. */
@customElement("chat-row")
export class ChatRow extends LitElement {
  static override styles = [
    controls,
    css`
      .row {
        display: flex;
        align-items: center;
        border-radius: var(--radius-s);
      }
      .row:is(:hover, :focus-within) {
        background: var(--sunken);
      }
      .row.current {
        background: var(--pine-soft);
      }
      .open {
        display: block;
        flex: 1;
        min-width: 0;
        min-height: 0;
        padding: 0.45rem 0.7rem;
        border: 0;
        border-radius: inherit;
        background: none;
        text-align: left;
      }
      .open span {
        display: block;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .title {
        font-size: 0.9375rem;
      }
      .current .title {
        font-weight: 600;
      }
      .actions {
        display: flex;
        padding-right: 0.2rem;
      }
      .row:not(.current):not(:hover):not(:focus-within) .actions {
        display: none;
      }
      .actions button {
        min-height: 32px;
        width: 28px;
        padding: 0;
        font-size: 0.875rem;
      }
      form {
        padding: 0.35rem;
      }
    `,
  ];

  @property({ attribute: false }) record!: ChatRecord;
  @property({ type: Boolean }) current = false;
  /** The place of what was searched for. */
  @property() excerpt = "";
  @state() private renaming = false;
  @query("input") private field!: HTMLInputElement | null;

  protected override render(): TemplateResult {
    const { record, current } = this;
    if (this.renaming) return this.#form();
    return html`<div class="row ${current ? "current" : ""}" data-testid="chat">
      <button class="open" data-testid="open-chat" aria-current=${current ? "page" : nothing} @click=${() => emit(this, "open-chat", record)}>
        <span class="title">${record.title}</span>
        <span class="excerpt small muted">${this.excerpt || formatDay(new Date(record.updated))}</span>
      </button>
      <div class="actions">
        <button class="quiet" data-testid="rename-chat" aria-label="Rename ${record.title}" title="Rename" @click=${this.#rename}>${editIcon}</button>
        <button class="quiet" data-testid="export-chat" aria-label="Export ${record.title}" title="Export to a file" @click=${() => emit(this, "export-chats", [record])}>${saveIcon}</button>
        <button class="quiet" data-testid="delete-chat" aria-label="Delete ${record.title}" title="Delete" @click=${() => emit(this, "delete-chat", record)}>${binIcon}</button>
      </div>
    </div>`;
  }

  #form(): TemplateResult {
    return html`<form @submit=${this.#submit}>
      <input
        data-testid="chat-title"
        aria-label="Title of the chat"
        maxlength="60"
        .value=${this.record.title}
        @keydown=${this.#onKey}
        @blur=${this.#submit}
      />
    </form>`;
  }

  readonly #rename = async (): Promise<void> => {
    this.renaming = true;
    await this.updateComplete;
    this.field?.select();
  };

  readonly #submit = (event: Event): void => {
    event.preventDefault();
    if (!this.renaming) return;
    const title = this.field?.value ?? "";
    this.renaming = false;
    emit<Renaming>(this, "rename-chat", { record: this.record, title });
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.renaming = false;
  };
}
