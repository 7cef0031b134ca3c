import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import type { CacheOptions, Engine, Usage } from "../../src/api/types.ts";
import { detailOf } from "../events.ts";
import { Announcer } from "../state/announcer.ts";
import { CacheStore } from "../state/cache-store.ts";
import { CalibrationStore } from "../state/calibration-store.ts";
import { type AnswerSettings, ChatStore } from "../state/chat-store.ts";
import { EngineStore } from "../state/engine-store.ts";
import type { ModelChoice } from "../state/models.ts";
import { layout } from "../styles/layout.ts";
import type { AppHeader } from "./app-header.ts";
import type { ChatComposer } from "./chat/chat-composer.ts";
import { closeIcon } from "./icons.ts";
import "./app-header.ts";
import "./cache/cache-panel.ts";
import "./chat/chat-composer.ts";
import "./load/load-card.ts";
import "./chat/message-list.ts";
import "./cache/retention-strip.ts";

/** Joins the three stores to the page: state flows down as properties, what the user does comes up as events. */
@customElement("chat-app")
export class ChatApp extends LitElement {
  static override styles = layout;

  @state() private panelOpen = false;
  @state() private spoken = "";
  @query("chat-composer") private composer!: ChatComposer | null;
  readonly #engine = new EngineStore();
  readonly #chat = new ChatStore();
  readonly #cache = new CacheStore();
  readonly #calibration = new CalibrationStore();
  readonly #announcer = new Announcer();
  #attached: Engine | null = null;
  #wasAnswering = false;
  #unsubscribe: (() => void)[] = [];
  /** Wide enough for the panel to stand beside the chat. */
  readonly #wide = matchMedia("(min-width: 1001px)");

  override connectedCallback(): void {
    super.connectedCallback();
    const update = (): void => this.requestUpdate();
    this.#unsubscribe = [
      this.#engine.subscribe(() => this.#onEngine()),
      this.#chat.subscribe(() => this.#onChat()),
      this.#cache.subscribe(update),
      this.#calibration.subscribe(() => this.#onCalibration()),
    ];
    document.addEventListener("keydown", this.#onKey);
    this.#wide.addEventListener("change", this.#onWide);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const end of this.#unsubscribe) end();
    document.removeEventListener("keydown", this.#onKey);
    this.#wide.removeEventListener("change", this.#onWide);
  }

  protected override render(): TemplateResult {
    const ready = this.#engine.phase.kind === "ready";
    return html`<div
      class="app"
      @load-model=${this.#onLoad}
      @cancel-load=${() => this.#engine.cancel()}
      @change-model=${this.#onChangeModel}
      @new-chat=${this.#onNewChat}
      @open-panel=${() => this.#showPanel(true)}
      @send-message=${(event: Event) => this.#chat.send(detailOf<string>(event))}
      @suggest=${(event: Event) => this.#chat.send(detailOf<string>(event))}
      @stop-answer=${() => this.#chat.stop()}
      @retry-answer=${() => this.#chat.retry()}
      @edit-question=${() => this.composer?.write(this.#chat.takeBackQuestion())}
      @cache-request=${(event: Event) => this.#cache.request(detailOf<CacheOptions>(event))}
      @calibrate=${(event: Event) => void this.#calibration.start(detailOf<string[] | null>(event) ?? undefined)}
      @cancel-calibration=${() => void this.#calibration.stop()}
      @answer-settings=${(event: Event) => this.#chat.configure(detailOf<Partial<AnswerSettings>>(event))}
    >
      ${this.#header(ready)} ${ready ? this.#conversation() : this.#loading()}
      <div class="hidden-text" aria-live="polite" data-testid="announcer">${this.spoken}</div>
    </div>`;
  }

  #header(ready: boolean): TemplateResult {
    const [state, status] = this.#status();
    return html`<app-header
      ?inert=${this.panelOpen}
      .status=${status}
      .state=${state}
      .loaded=${ready}
      .model=${this.#engine.choice?.label ?? ""}
      .bytes=${this.#cache.usage?.bytes ?? 0}
      .panelOpen=${this.panelOpen}
    ></app-header>`;
  }

  #loading(): TemplateResult {
    return html`<main class="welcome">
      <load-card .phase=${this.#engine.phase} .choice=${this.#engine.choice}></load-card>
    </main>`;
  }

  #conversation(): TemplateResult {
    const cache = this.#cache;
    return html`<main ?inert=${this.panelOpen}>
        <retention-strip .retention=${cache.retention}></retention-strip>
        <message-list .entries=${this.#chat.entries} .answering=${this.#chat.answering}></message-list>
        <div class="write"><chat-composer .answering=${this.#chat.answering}></chat-composer></div>
      </main>
      ${this.panelOpen ? html`<div class="scrim" @click=${() => this.#showPanel(false)}></div>` : nothing}
      <aside class=${this.panelOpen ? "open" : ""} aria-label="Cache" data-testid="panel">
        <div class="grip">
          <strong>Cache</strong>
          <button class="quiet" data-testid="close-panel" aria-label="Close" @click=${() => this.#showPanel(false)}>${closeIcon}</button>
        </div>
        <cache-panel
          .settings=${cache.shown}
          .usage=${cache.usage}
          .memory=${cache.memory}
          .history=${cache.history}
          .refusal=${cache.refusal}
          .liveRate=${cache.liveRate}
          .info=${cache.info}
          .firstTokenS=${this.#firstTokenS()}
          .lastAnswer=${this.#lastUsage()}
          .answerSettings=${this.#chat.settings}
          .calibration=${this.#calibration.phase}
        ></cache-panel>
      </aside>`;
  }

  #status(): [AppHeader["state"], string] {
    const { kind } = this.#engine.phase;
    const last = this.#chat.entries.at(-1);
    if (kind === "loading") return ["loading", "Loading"];
    if (kind === "failed") return ["error", "Could not load"];
    if (kind === "idle") return ["idle", "No model yet"];
    if (last?.status === "waiting") return ["answering", "Reading"];
    if (this.#chat.answering) return ["answering", "Answering"];
    return last?.status === "failed" ? ["error", "Answer failed"] : ["ready", "Ready"];
  }

  /** Seconds to the first token, until the engine's own figure comes with the end of the answer. */
  #firstTokenS(): number | null {
    const last = this.#chat.entries.at(-1);
    return last?.usage ? null : (last?.firstTokenS ?? null);
  }

  #lastUsage(): Usage | null {
    return this.#chat.entries.findLast(({ usage }) => usage !== undefined)?.usage ?? null;
  }

  #onEngine(): void {
    const { engine } = this.#engine;
    if (engine !== this.#attached) {
      this.#attached = engine;
      this.#chat.attach(engine);
      this.#cache.attach(engine);
      this.#calibration.attach(engine);
      if (engine !== null) void this.updateComplete.then(() => this.composer?.focusField());
    }
    this.requestUpdate();
  }

  /** The policy may be another one now that the filters are there. */
  #onCalibration(): void {
    if (this.#calibration.phase.kind === "done") this.#cache.refresh(this.#chat.answering);
    this.requestUpdate();
  }

  #onChat(): void {
    const { answering, entries } = this.#chat;
    const last = entries.at(-1);
    if (answering && last?.text === "") this.#cache.startRate();
    if (answering !== this.#wasAnswering) {
      this.#wasAnswering = answering;
      this.#cache.watch(answering);
      if (answering) this.#announcer.begin();
      else {
        this.#cache.refresh();
        if (last?.role === "assistant") this.spoken = this.#announcer.rest(last.text);
      }
    } else if (answering && last !== undefined) {
      const sentences = this.#announcer.next(last.text, performance.now());
      if (sentences !== "") this.spoken = sentences;
    } else this.#cache.refresh();
    this.requestUpdate();
  }

  readonly #onLoad = (event: Event): void => {
    void this.#engine.load(detailOf<ModelChoice>(event), (calibration) =>
      this.#calibration.hear(calibration),
    );
  };

  readonly #onChangeModel = async (): Promise<void> => {
    await this.#chat.clear();
    await this.#engine.unload();
  };

  readonly #onNewChat = async (): Promise<void> => {
    await this.#chat.clear();
    this.composer?.focusField();
  };

  #showPanel(open: boolean): void {
    this.panelOpen = open;
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector<HTMLElement>(open ? ".grip button" : "app-header")?.focus(),
    );
  }

  readonly #onWide = (): void => {
    this.panelOpen = false;
  };

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    if (this.panelOpen) this.#showPanel(false);
    else this.#chat.stop();
  };
}
