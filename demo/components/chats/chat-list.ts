import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { emit } from "../../events.ts";
import type { Found } from "../../state/chats/chat-search.ts";
import type { ChatRecord } from "../../state/chats/chat-types.ts";
import { controls } from "../../styles/controls.ts";
import "./chat-row.ts";

const TYPING_MS = 180;

/** All chats, last used first, and a search over their titles and texts. */
@customElement("chat-list")
export class ChatList extends LitElement {
  static override styles = [
    controls,
    css`
      .search {
        padding: 0.8rem 0.75rem 0.5rem;
      }
      ul {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: 2px;
        margin: 0;
        padding: 0 0.5rem 0.75rem;
        list-style: none;
      }
      p {
        padding: 0.2rem 1.2rem;
      }
      .files {
        display: flex;
        flex-wrap: wrap;
        gap: 0.3rem 1rem;
        padding: 0.2rem 1.2rem 1rem;
      }
      .read {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        color: var(--muted);
      }
      .read input {
        flex: none;
        width: 1rem;
        height: 1rem;
        margin: 0;
        accent-color: var(--pine);
      }
    `,
  ];

  @property({ attribute: false }) chats: readonly ChatRecord[] = [];
  @property() current = "";
  /** Finds the chats that have all words of a query. */
  @property({ attribute: false }) search!: (query: string) => Promise<readonly Found[]>;
  /** What the search has found; null without one. */
  @state() private found: readonly Found[] | null = null;
  @query("input[type=search]") private field!: HTMLInputElement;
  @query("input[type=file]") private file!: HTMLInputElement;
  #timer: ReturnType<typeof setTimeout> | undefined;

  protected override updated(changed: PropertyValues<this>): void {
    if (changed.has("chats") && this.found !== null) this.#onInput();
  }

  protected override render(): TemplateResult {
    const { chats, found } = this;
    const byId = new Map(chats.map((record) => [record.id, record]));
    const rows = found ?? chats.map(({ id }) => ({ id, excerpt: "" }));
    const shown = rows.filter(({ id }) => byId.has(id));
    return html`<div class="search">
        <input type="search" data-testid="search-chats" aria-label="Search chats" placeholder="Search chats" @input=${this.#onInput} />
      </div>
      ${shown.length > 0 ? nothing : html`<p class="small muted" data-testid="no-chats">${found === null ? "Chats are kept here, on this device." : "No chat has these words."}</p>`}
      <ul data-testid="chats">
        ${repeat(
          shown,
          ({ id }) => id,
          ({ id, excerpt }) => html`<li>
            <chat-row .record=${byId.get(id)!} .current=${id === this.current} .excerpt=${excerpt}></chat-row>
          </li>`,
        )}
      </ul>
      <div class="files small">
        <button class="link" data-testid="import-chats" @click=${() => this.file.click()}>Import chats</button>
        ${chats.length === 0 ? nothing : html`<button class="link" data-testid="export-all" @click=${() => emit(this, "export-chats", chats)}>Export all</button>`}
        ${
          chats.length === 0
            ? nothing
            : html`<label class="read"><input type="checkbox" data-testid="export-read" @change=${this.#onOption} /> with what the model has read</label>`
        }
        <input type="file" hidden data-testid="chat-file" accept=".json,.winnow,application/json" aria-label="File of chats" @change=${this.#onFile} />
      </div>`;
  }

  readonly #onInput = (): void => {
    clearTimeout(this.#timer);
    const query = this.field.value;
    if (query.trim() === "") this.found = null;
    else this.#timer = setTimeout(() => void this.#find(query), TYPING_MS);
  };

  async #find(query: string): Promise<void> {
    const found = await this.search(query);
    if (this.field.value === query) this.found = found;
  }

  readonly #onOption = (event: Event): void =>
    emit<boolean>(this, "export-option", (event.target as HTMLInputElement).checked);

  readonly #onFile = (): void => {
    const [file] = this.file.files ?? [];
    this.file.value = "";
    if (file !== undefined) emit<File>(this, "import-chats", file);
  };
}
