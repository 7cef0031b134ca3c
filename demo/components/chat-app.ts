import { html, LitElement, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";
import type { CacheOptions, Engine } from "../../src/api/types.ts";
import { detailOf } from "../events.ts";
import { keepOffline } from "../offline/register.ts";
import { Announcer } from "../state/announcer.ts";
import { AttachmentStore } from "../state/attachments.ts";
import { CacheStore } from "../state/cache-store.ts";
import { CalibrationStore } from "../state/calibration-store.ts";
import { ChatStore } from "../state/chat-store.ts";
import type { AnswerSettings, ChatRecord } from "../state/chats/chat-types.ts";
import { ChatsController } from "../state/chats/chats-controller.ts";
import { keepDraft, takeDraft } from "../state/draft.ts";
import { EngineStore } from "../state/engine-store.ts";
import type { ModelChoice } from "../state/models.ts";
import { NoticeStore } from "../state/notices.ts";
import { firstTokenOf, lastUsageOf, statusOf } from "../state/status.ts";
import { keepStorage } from "../state/storage-store.ts";
import { layout } from "../styles/layout.ts";
import type { ChatComposer } from "./chat/chat-composer.ts";
import { closeIcon } from "./icons.ts";
import "./app-header.ts";
import "./cache/cache-panel.ts";
import "./chat/chat-composer.ts";
import "./load/load-card.ts";
import "./chat/message-list.ts";
import "./chats/chat-elsewhere.ts";
import "./chats/chats-panel.ts";
import "./page-notices.ts";
import "./cache/retention-strip.ts";

/** What lies over the chat on a narrow screen. */
type Drawer = "panel" | "chats";

/** Joins the stores to the page: state flows down as properties, what the user does comes up as events. */
@customElement("chat-app")
export class ChatApp extends LitElement {
  static override styles = layout;

  @state() private drawer: Drawer | null = null;
  @state() private spoken = "";
  @query("chat-composer") private composer!: ChatComposer | null;
  readonly #engine = new EngineStore();
  readonly #chat = new ChatStore();
  readonly #cache = new CacheStore();
  readonly #calibration = new CalibrationStore();
  readonly #attachments = new AttachmentStore();
  readonly #notices = new NoticeStore();
  readonly #chats = new ChatsController(this.#chat, this.#cache, this.#notices);
  readonly #announcer = new Announcer();
  #attached: Engine | null = null;
  #attachedHere: Engine | null = null;
  #wasAnswering = false;
  #unsubscribe: (() => void)[] = [];
  #connected = new AbortController();
  /** Widths from which the panel, and the list of chats, stand beside the chat. */
  readonly #wide = ["(min-width: 1001px)", "(min-width: 1151px)"].map((query) => matchMedia(query));

  override connectedCallback(): void {
    super.connectedCallback();
    const update = (): void => this.requestUpdate();
    this.#unsubscribe = [
      this.#engine.subscribe(() => this.#onEngine()),
      this.#chat.subscribe(() => this.#onChat()),
      this.#cache.subscribe(update),
      this.#calibration.subscribe(() => this.#onCalibration()),
      this.#attachments.subscribe(update),
      this.#notices.subscribe(update),
      this.#chats.store.subscribe(update),
    ];
    this.#connected = new AbortController();
    const { signal } = this.#connected;
    document.addEventListener("keydown", this.#onKey, { signal });
    for (const wide of this.#wide)
      wide.addEventListener("change", () => this.#show(null), { signal });
    void this.#chats.start(signal);
    void keepOffline((reload) => this.#chats.sayUpdate(reload, this.#keepDraft));
    addEventListener("pagehide", this.#keepDraft, { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const end of this.#unsubscribe) end();
    this.#connected.abort();
  }

  protected override render(): TemplateResult {
    const ready = this.#engine.phase.kind === "ready";
    return html`<div
      class="app"
      @load-model=${this.#onLoad}
      @cancel-load=${() => this.#engine.cancel()} @server-settings=${(event: Event) => this.#engine.allow(detailOf<EngineStore["server"]>(event))}
      @change-model=${this.#onChangeModel}
      @new-chat=${this.#onNewChat}
      @open-panel=${() => this.#show("panel")}
      @open-chats=${() => this.#show("chats")}
      @open-chat=${(event: Event) => this.#onOpenChat(detailOf<ChatRecord>(event))}
      @take-over=${() => void this.#chats.store.takeOver()}
      @end-notice=${(event: Event) => this.#notices.end(detailOf<string>(event))}
      @send-message=${(event: Event) => this.#chats.send(detailOf<string>(event), this.#attachments.take())}
      @attach-files=${(event: Event) => void this.#attachments.addFiles(this.#chats.takeContexts(detailOf<File[]>(event)))}
      @save-context=${() => void this.#chats.saveContext()}
      @save-attachment=${(event: Event) => void this.#attachments.save(detailOf<number>(event), this.#chats.saveDocument)}
      @attach-text=${(event: Event) => this.#attachments.addText(detailOf<string>(event))}
      @remove-attachment=${(event: Event) => this.#attachments.remove(detailOf<number>(event))}
      @suggest=${(event: Event) => this.#chats.send(detailOf<string>(event))}
      @stop-answer=${() => this.#chat.stop()}
      @retry-answer=${() => this.#chat.retry()}
      @edit-question=${this.#onEdit}
      @cache-request=${(event: Event) => this.#cache.request(detailOf<CacheOptions>(event))}
      @calibrate=${(event: Event) => void this.#calibration.start(detailOf<string[] | null>(event) ?? undefined)}
      @cancel-calibration=${() => void this.#calibration.stop()}
      @answer-settings=${(event: Event) => this.#chat.configure(detailOf<Partial<AnswerSettings>>(event))}
    >
      ${this.#header(ready)} ${this.#list(ready)}
      ${ready ? this.#conversation() : this.#loading()}
      ${this.drawer === null ? nothing : html`<div class="scrim" @click=${() => this.#show(null)}></div>`}
      <page-notices class="notices" .notices=${this.#notices.notices}></page-notices>
      <div class="hidden-text" aria-live="polite" data-testid="announcer">${this.spoken}</div>
    </div>`;
  }

  #header(ready: boolean): TemplateResult {
    const [state, status] = statusOf(this.#engine.phase.kind, this.#chat);
    return html`<app-header
      ?inert=${this.drawer !== null}
      .status=${status}
      .state=${state}
      .loaded=${ready}
      .model=${this.#engine.modelName} .source=${ready ? this.#chat.source : null}
      .bytes=${this.#cache.usage?.bytes ?? 0}
      .drawer=${this.drawer}
      .chats=${this.#hasChats(ready)}
    ></app-header>`;
  }

  /** A first visitor sees no empty list. */
  #hasChats(ready: boolean): boolean {
    return ready || this.#chats.store.list.length > 0;
  }

  #list(ready: boolean): TemplateResult | typeof nothing {
    if (!this.#hasChats(ready)) return nothing;
    return html`<nav class="chats ${this.drawer === "chats" ? "open" : ""}" aria-label="Chats" data-testid="chat-nav" ?inert=${this.drawer === "panel"}>
      ${this.#grip("Chats", "close-chats")}
      <chats-panel .chats=${this.#chats}></chats-panel>
    </nav>`;
  }

  #loading(): TemplateResult {
    const chat = this.#chat.entries.length > 0;
    const card = html`<load-card .phase=${this.#engine.phase} .choice=${this.#engine.choice} .server=${this.#engine.server} ?compact=${chat}></load-card>`;
    return chat
      ? html`<main class="resume" ?inert=${this.drawer !== null}>${this.#messages(true)} <div class="load">${card}</div></main>`
      : html`<main class="welcome" ?inert=${this.drawer !== null}>${card}</main>`;
  }

  /** A message list of its own for each chat: where the reader has scrolled to belongs to it. */
  #messages(locked: boolean): TemplateResult {
    return html`${keyed(
      this.#chat.id,
      html`<message-list
        .entries=${this.#chat.entries}
        .progress=${this.#chat.reading}
        .begun=${this.#chat.entries.length === 0 ? (this.#cache.usage?.tokensSeen ?? 0) : 0}
        .locked=${locked}
      ></message-list>`,
    )}`;
  }

  #conversation(): TemplateResult {
    const cache = this.#cache;
    const { access } = this.#chats.store;
    const mine = access === "mine";
    const title = this.#engine.here === null ? "Settings" : "Cache";
    return html`<main ?inert=${this.drawer !== null}>
        <retention-strip .retention=${cache.retention}></retention-strip>
        ${this.#messages(this.#chat.answering || !mine)}
        <div class="write">${
          mine
            ? html`<chat-composer .answering=${this.#chat.answering} .attachments=${this.#attachments.items} ?savable=${this.#engine.here !== null}></chat-composer>`
            : html`<chat-elsewhere .access=${access}></chat-elsewhere>`
        }</div>
      </main>
      <aside class=${this.drawer === "panel" ? "open" : ""} aria-label=${title} data-testid="panel" ?inert=${this.drawer === "chats"}>
        ${this.#grip(title, "close-panel")}
        <cache-panel
          .settings=${cache.shown}
          .usage=${cache.usage}
          .memory=${cache.memory}
          .history=${cache.history}
          .refusal=${cache.refusal}
          .liveRate=${cache.liveRate}
          .info=${cache.info}
          .firstTokenS=${firstTokenOf(this.#chat.entries)}
          .lastAnswer=${lastUsageOf(this.#chat.entries)}
          .answerSettings=${this.#chat.settings}
          .calibration=${this.#calibration.phase}
          ?busy=${this.#chat.answering} ?elsewhere=${this.#engine.here === null} .download=${this.#engine.download}
        ></cache-panel>
      </aside>`;
  }

  #grip(title: string, testId: string): TemplateResult {
    return html`<div class="grip">
      <strong>${title}</strong>
      <button class="quiet" data-testid=${testId} aria-label="Close" @click=${() => this.#show(null)}>${closeIcon}</button>
    </div>`;
  }

  #onEngine(): void {
    const { engine, here } = this.#engine;
    if (engine !== this.#attached || here !== this.#attachedHere) {
      this.#chat.attach(engine);
      for (const store of [this.#cache, this.#calibration, this.#chats]) store.attach(here);
      this.#attachedHere = here;
    }
    if (engine !== this.#attached) {
      this.#attached = engine;
      // What was stored is to stay. A file of the user's own is read where it is.
      const source = this.#engine.choice?.source;
      if (engine !== null && (typeof source === "string" || (source && "repo" in source)))
        void keepStorage();
      if (engine !== null) void this.updateComplete.then(() => this.#takeDraft());
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
    if (answering && entries.at(-1)?.text === "") this.#cache.startRate();
    if (answering !== this.#wasAnswering) this.#cache.watch(answering);
    this.#wasAnswering = answering;
    if (!answering) this.#cache.refresh();
    this.spoken = this.#announcer.hear(this.#chat, performance.now()) || this.spoken;
    this.requestUpdate();
  }

  readonly #onLoad = (event: Event): void => {
    void this.#engine.load(detailOf<ModelChoice>(event), (calibration) =>
      this.#calibration.hear(calibration),
    );
  };

  readonly #onChangeModel = async (): Promise<void> => {
    await this.#chat.quiet();
    await this.#chats.keeper.leave();
    await this.#engine.unload();
  };

  readonly #onNewChat = async (): Promise<void> => {
    this.drawer = null;
    await this.#chats.store.create();
    await this.updateComplete;
    this.composer?.focusField();
  };

  readonly #keepDraft = (): boolean => {
    const { composer } = this;
    const { ready: attachments } = this.#attachments;
    return composer === null || keepDraft({ text: composer.draft, attachments });
  };

  #takeDraft(): void {
    const draft = this.composer && takeDraft();
    if (draft) this.#attachments.put(draft.attachments);
    void this.composer?.write(draft?.text ?? "");
  }

  readonly #onEdit = (): void => {
    const question = this.#chat.takeBackQuestion();
    if (question === null) return;
    this.#attachments.put(question.attachments ?? []);
    void this.composer?.write(question.text);
  };

  async #onOpenChat(record: ChatRecord): Promise<void> {
    this.#show(null);
    if (record.id !== this.#chats.store.opened.id) await this.#chats.store.open(record);
  }

  #show(drawer: Drawer | null): void {
    const before = this.drawer;
    if (drawer === before) return;
    this.drawer = drawer;
    const grip = drawer === "panel" ? "aside .grip button" : "nav .grip button";
    void this.updateComplete.then(() =>
      this.renderRoot.querySelector<HTMLElement>(drawer === null ? "app-header" : grip)?.focus(),
    );
  }

  readonly #onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    if (this.drawer !== null) this.#show(null);
    else this.#chat.stop();
  };
}
