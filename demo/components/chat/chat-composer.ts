import { css, html, LitElement, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { emit } from "../../events.ts";
import { controls } from "../../styles/controls.ts";
import { sendIcon, stopIcon } from "../icons.ts";

/** Where the user writes: Enter sends, Shift+Enter breaks the line, Escape stops the answer. */
@customElement("chat-composer")
export class ChatComposer extends LitElement {
  static override styles = [
    controls,
    css`
      form {
        display: flex;
        align-items: flex-end;
        gap: 0.5rem;
        max-width: 46rem;
        margin: 0 auto;
        padding: 0.45rem 0.45rem 0.45rem 1rem;
        border: 1px solid var(--line-strong);
        border-radius: 24px;
        background: var(--raised);
        box-shadow: var(--shadow);
      }
      form:focus-within {
        border-color: var(--pine);
        outline: 2px solid var(--pine);
        outline-offset: -1px;
      }
      textarea {
        flex: 1;
        min-height: 40px;
        max-height: 12rem;
        padding: 0.5rem 0;
        border: 0;
        border-radius: 0;
        background: none;
        resize: none;
        field-sizing: content;
        line-height: 1.5;
      }
      /* The whole form shows the focus. */
      textarea:focus-visible {
        outline: none;
      }
      textarea::placeholder {
        color: var(--muted);
        opacity: 1;
      }
      button {
        width: 40px;
        height: 40px;
        padding: 0;
      }
      button .icon {
        width: 20px;
        height: 20px;
      }
      .hint {
        max-width: 46rem;
        margin: 0.35rem auto 0;
        text-align: center;
      }
      kbd {
        font: 0.75rem var(--mono);
      }
      @media (pointer: coarse), (max-width: 600px) {
        .hint {
          display: none;
        }
      }
    `,
  ];

  @property({ type: Boolean }) answering = false;
  @state() private draft = "";
  @query("textarea") private field!: HTMLTextAreaElement;

  /** Puts text into the field, ready to be changed. */
  async write(text: string): Promise<void> {
    this.draft = text;
    await this.updateComplete;
    this.#fit();
    this.focusField();
  }

  focusField(): void {
    this.field.focus();
  }

  protected override render(): TemplateResult {
    const empty = this.draft.trim() === "";
    return html`<form @submit=${this.#submit}>
        <textarea
          rows="1"
          data-testid="composer"
          aria-label="Your message"
          aria-describedby="keys"
          placeholder="Ask anything"
          enterkeyhint="send"
          .value=${this.draft}
          @input=${this.#onInput}
          @keydown=${this.#onKey}
        ></textarea>
        ${
          this.answering
            ? html`<button type="button" class="primary" data-testid="stop" aria-label="Stop the answer" title="Stop (Esc)" @click=${() => emit(this, "stop-answer")}>${stopIcon}</button>`
            : html`<button class="primary" data-testid="send" aria-label="Send" title="Send (Enter)" ?disabled=${empty}>${sendIcon}</button>`
        }
      </form>
      <p class="hint small muted" id="keys">
        <kbd>Enter</kbd> sends, <kbd>Shift+Enter</kbd> breaks the line, <kbd>Esc</kbd> stops. Small
        models make things up: check what matters.
      </p>`;
  }

  readonly #onInput = (): void => {
    this.draft = this.field.value;
    this.#fit();
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    // While an input method composes, Enter picks a candidate.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  };

  readonly #submit = (event?: Event): void => {
    event?.preventDefault();
    if (this.answering || this.draft.trim() === "") return;
    emit(this, "send-message", this.draft);
    this.draft = "";
    this.field.value = "";
    this.#fit();
  };

  /** For browsers without `field-sizing`. */
  #fit(): void {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }
}
