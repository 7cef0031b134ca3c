import { css, html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { InferenceSource } from "../../src/api/types.ts";
import { emit } from "../events.ts";
import { formatBytes } from "../format.ts";
import { controls } from "../styles/controls.ts";
import { gaugeIcon, logo, menuIcon, plusIcon } from "./icons.ts";

/** Name, model, status, and the few things one does with a whole chat. */
@customElement("app-header")
export class AppHeader extends LitElement {
  static override styles = [
    controls,
    css`
      header {
        display: flex;
        align-items: center;
        gap: 0.55rem;
        height: 56px;
        padding: 0 1rem;
        border-bottom: 1px solid var(--line);
        background: var(--surface);
      }
      .logo {
        flex: none;
        width: 28px;
        height: 28px;
      }
      h1 {
        margin: 0;
        font: 600 1.3rem/1 var(--display);
        letter-spacing: -0.01em;
      }
      .model {
        min-width: 0;
        margin-left: 0.5rem;
        padding: 0 0.7em;
        overflow: hidden;
        text-overflow: ellipsis;
        font-size: 0.875rem;
      }
      .model span {
        overflow: hidden;
        text-overflow: ellipsis;
      }
      .source {
        flex: none;
        padding: 0.15em 0.65em;
        border: 1px solid currentColor;
        border-radius: 999px;
        color: var(--pine);
        white-space: nowrap;
      }
      .source[data-source="in_cloud"] {
        color: var(--caution);
      }
      .status {
        display: inline-flex;
        align-items: center;
        gap: 0.5em;
        margin-left: auto;
        color: var(--muted);
        white-space: nowrap;
      }
      .status::before {
        content: "";
        width: 8px;
        height: 8px;
        border-radius: 50%;
        background: var(--chaff);
      }
      .status[data-state="ready"]::before {
        background: var(--pine);
      }
      .status:is([data-state="answering"], [data-state="loading"])::before {
        background: var(--wheat);
        animation: pulse 1.2s ease-in-out infinite;
      }
      .status[data-state="error"]::before {
        background: var(--danger);
      }
      @keyframes pulse {
        50% {
          opacity: 0.35;
        }
      }
      .panel,
      .new {
        flex: none;
        font-size: 0.875rem;
      }
      .panel,
      .menu {
        display: none;
      }
      .menu {
        flex: none;
        width: 36px;
        padding: 0;
      }
      @media (max-width: 1150px) {
        .menu {
          display: inline-flex;
        }
      }
      @media (max-width: 1000px) {
        .panel {
          display: inline-flex;
        }
      }
      @media (max-width: 600px) {
        header {
          padding: 0 0.6rem;
        }
        .model,
        .new span {
          display: none;
        }
        .new {
          width: 36px;
          padding: 0;
        }
      }
      @media (max-width: 400px) {
        .status {
          gap: 0;
          font-size: 0;
        }
      }
    `,
  ];

  @property() status = "";
  @property() state: "idle" | "loading" | "ready" | "answering" | "error" = "idle";
  @property() model = "";
  /** KV bytes, on the button that opens the panel on narrow screens. */
  @property({ type: Number }) bytes = 0;
  @property({ type: Boolean }) loaded = false;
  /** Whether there is a list of chats to open. */
  @property({ type: Boolean }) chats = false;
  @property() drawer: string | null = null;
  /** Who answers; null where nobody but this device may. */
  @property() source: InferenceSource | null = null;

  protected override render(): TemplateResult {
    return html`<header>
      ${
        this.chats
          ? html`<button
              class="quiet menu"
              data-testid="open-chats"
              aria-label="Chats"
              aria-expanded=${this.drawer === "chats" ? "true" : "false"}
              @click=${() => emit(this, "open-chats")}
            >
              ${menuIcon}
            </button>`
          : nothing
      }
      ${logo}
      <h1>Winnow</h1>
      ${
        this.loaded
          ? html`<button class="quiet model" data-testid="change-model" title="Load another model" @click=${() => emit(this, "change-model")}>
            <span>${this.model}</span>
          </button>`
          : nothing
      }
      ${
        this.source === null
          ? nothing
          : html`<span class="source small" data-testid="source" data-source=${this.source}>${this.source === "in_cloud" ? "server" : "this device"}</span>`
      }
      <span class="status small" role="status" data-testid="status" data-state=${this.state}>${this.status}</span>
      ${
        this.loaded
          ? html`<button
              class="panel num"
              data-testid="open-panel"
              aria-expanded=${this.drawer === "panel" ? "true" : "false"}
              aria-label="Settings and figures${this.source === "in_cloud" ? "" : `, ${formatBytes(this.bytes)} held`}"
              @click=${() => emit(this, "open-panel")}
            >
              ${gaugeIcon} ${this.source === "in_cloud" ? nothing : formatBytes(this.bytes)}
            </button>`
          : nothing
      }
      ${
        this.chats
          ? html`<button class="new" data-testid="new-chat" aria-label="New chat" @click=${() => emit(this, "new-chat")}>
              ${plusIcon} <span>New chat</span>
            </button>`
          : nothing
      }
    </header>`;
  }
}
