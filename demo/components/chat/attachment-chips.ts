import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { emit } from "../../events.ts";
import { formatReading, formatTokens } from "../../format.ts";
import type { Pending } from "../../state/attachments.ts";
import { controls } from "../../styles/controls.ts";
import { closeIcon, pageIcon, saveIcon, warnIcon } from "../icons.ts";

/** The documents that go in front of the next question, or why one cannot. */
@customElement("attachment-chips")
export class AttachmentChips extends LitElement {
  static override styles = [
    controls,
    css`
      ul {
        display: flex;
        flex-wrap: wrap;
        gap: 0.4rem;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        align-items: center;
        gap: 0.5rem;
        max-width: 100%;
        padding: 0.25rem 0.25rem 0.25rem 0.7rem;
        border: 1px solid var(--line-strong);
        border-radius: var(--radius-s);
        background: var(--raised);
      }
      li.failed {
        flex: 1 1 100%;
        border-color: var(--danger);
        background: var(--danger-soft);
      }
      span {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      button {
        flex: none;
        width: 30px;
        min-height: 30px;
        padding: 0;
      }
    `,
  ];

  @property({ attribute: false }) items: readonly Pending[] = [];
  /** Whether there is a model here that may read them for a file. */
  @property({ type: Boolean }) savable = false;

  protected override render(): TemplateResult | typeof nothing {
    if (this.items.length === 0) return nothing;
    return html`<ul class="small" aria-label="Documents" aria-live="polite">
      ${this.items.map(
        (
          item,
        ) => html`<li class=${item.state} data-testid="attachment" data-state=${item.state} role=${item.state === "failed" ? "alert" : nothing}>
          ${item.state === "failed" ? warnIcon : pageIcon}
          <span>${wordsOf(item)}</span>
          ${item.state === "ready" && this.savable ? this.#save(item) : nothing}
          <button type="button" class="quiet" data-testid="remove-attachment" aria-label="${item.state === "saving" ? "Stop reading" : "Remove"} ${item.name}" @click=${() => emit(this, "remove-attachment", item.id)}>${closeIcon}</button>
        </li>`,
      )}
    </ul>`;
  }

  #save({ id, name }: Pending): TemplateResult {
    return html`<button type="button" class="quiet" data-testid="save-attachment" aria-label="Read ${name} and save it as a file" title="Let the model read it now, and save what was read as a .winnow file" @click=${() => emit(this, "save-attachment", id)}>${saveIcon}</button>`;
  }
}

function wordsOf(item: Pending): TemplateResult {
  if (item.state === "failed") return html`${item.error.message} ${item.error.hint}`;
  if (item.state === "ready") {
    const { kind, text } = item.attachment;
    return html`<strong>${item.name}</strong> · ${kind} · ${formatTokens(text)}`;
  }
  if (item.state === "saving") {
    const { progress } = item;
    return html`<strong>${item.name}</strong> is being read for a file${progress ? `: ${formatReading(progress)}` : "…"}`;
  }
  const pages = item.total === 0 ? "…" : `: page ${item.read} of ${item.total}`;
  return html`<strong>${item.name}</strong> is being opened${pages}`;
}
