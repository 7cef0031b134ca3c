import { html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { detailOf } from "../../events.ts";
import type { ChatRecord } from "../../state/chats/chat-types.ts";
import type { ChatsController } from "../../state/chats/chats-controller.ts";
import { controls } from "../../styles/controls.ts";
import type { Renaming } from "./chat-row.ts";
import "./chat-list.ts";
import "./storage-box.ts";

/** The list of chats and what they take, joined to their stores. */
@customElement("chats-panel")
export class ChatsPanel extends LitElement {
  static override styles = controls;

  @property({ attribute: false }) chats!: ChatsController;
  /** Whether exports include what the model has read. */
  #withRead = false;
  #unsubscribe: (() => void)[] = [];

  override connectedCallback(): void {
    super.connectedCallback();
    const update = (): void => this.requestUpdate();
    this.#unsubscribe = [this.chats.store.subscribe(update), this.chats.storage.subscribe(update)];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const end of this.#unsubscribe) end();
  }

  protected override render(): TemplateResult {
    const { store, storage } = this.chats;
    return html`<div
      @rename-chat=${this.#onRename}
      @delete-chat=${(event: Event) => void this.chats.remove(detailOf<ChatRecord>(event))}
      @delete-all-chats=${() => void this.chats.removeAll()}
      @export-chats=${(event: Event) => void this.chats.export(detailOf<ChatRecord[]>(event), this.#withRead)}
      @export-option=${this.#onOption}
      @import-chats=${(event: Event) => void this.chats.import(detailOf<File>(event))}
      @show-storage=${() => void storage.refresh()}
      @free-caches=${() => void storage.freeCaches()}
      @keep-storage=${() => void storage.ask()}
    >
      <chat-list .chats=${store.list} .current=${store.opened.id} .search=${this.#search}></chat-list>
      <storage-box .use=${storage.use} .count=${store.list.length}></storage-box>
    </div>`;
  }

  readonly #onOption = (event: Event): void => {
    this.#withRead = detailOf<boolean>(event);
  };

  readonly #search = (query: string) => this.chats.search(query);

  readonly #onRename = (event: Event): void => {
    const { record, title } = detailOf<Renaming>(event);
    void this.chats.rename(record, title);
  };
}
