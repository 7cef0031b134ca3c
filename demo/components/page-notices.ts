import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { emit } from "../events.ts";
import type { Notice } from "../state/notices.ts";
import { controls } from "../styles/controls.ts";
import { closeIcon } from "./icons.ts";

/** What the page has to say, above the place where the user writes. */
@customElement("page-notices")
export class PageNotices extends LitElement {
  static override styles = [
    controls,
    css`
      ul {
        display: grid;
        gap: 0.5rem;
        width: min(34rem, 100vw - 1.5rem);
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        align-items: center;
        gap: 0.25rem 0.75rem;
        padding: 0.45rem 0.45rem 0.45rem 1rem;
        border: 1px solid var(--line-strong);
        border-radius: var(--radius);
        background: var(--raised);
        box-shadow: var(--shadow);
        font-size: 0.875rem;
        line-height: 1.4;
        pointer-events: auto;
      }
      li.error-tone {
        background: var(--danger-soft);
        border-color: var(--danger);
      }
      span {
        flex: 1;
        min-width: 0;
        overflow-wrap: anywhere;
      }
      button.close {
        flex: none;
        width: 34px;
        min-height: 34px;
        padding: 0;
      }
    `,
  ];

  @property({ attribute: false }) notices: readonly Notice[] = [];

  protected override render(): TemplateResult {
    return html`<ul aria-live="polite">
      ${this.notices.map(
        ({ name, text, tone, action }) => html`<li
          class="${tone}-tone"
          data-testid="notice"
          data-name=${name}
          role=${tone === "error" ? "alert" : "status"}
        >
          <span>${text}</span>
          ${action && html`<button data-testid="notice-action" @click=${() => action.run()}>${action.label}</button>`}
          <button class="quiet close" aria-label="Close this notice" @click=${() => emit(this, "end-notice", name)}>${closeIcon}</button>
        </li>`,
      )}
    </ul>`;
  }
}
