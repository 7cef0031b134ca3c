import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { emit } from "../../events.ts";
import type { ChatAccess } from "../../state/chats/chats-store.ts";
import { controls } from "../../styles/controls.ts";

/** In place of the composer while another tab has the chat. */
@customElement("chat-elsewhere")
export class ChatElsewhere extends LitElement {
  static override styles = [
    controls,
    css`
      div {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.5rem 1rem;
        max-width: 46rem;
        margin: 0 auto;
        padding: 0.7rem 1rem;
        border: 1px solid var(--line);
        border-radius: var(--radius);
        background: var(--surface);
      }
      p {
        flex: 1 1 16rem;
      }
    `,
  ];

  @property() access: ChatAccess = "elsewhere";

  protected override render(): TemplateResult {
    const free = this.access === "free";
    return html`<div role="status" data-testid="elsewhere" data-access=${this.access}>
      <p class="small">${
        free
          ? "The other tab has closed this chat."
          : "This chat is open in another tab. You can read it here; only that tab can change it."
      }</p>
      <button class="primary" data-testid="take-over" ?disabled=${!free} @click=${() => emit(this, "take-over")}>
        ${free ? "Go on here" : "Open elsewhere"}
      </button>
      <button data-testid="new-instead" @click=${() => emit(this, "new-chat")}>New chat</button>
    </div>`;
  }
}
