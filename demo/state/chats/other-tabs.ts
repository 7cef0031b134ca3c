const CHANNEL = "winnow-chats";

/** Tells the page's other tabs which chats have been written, and hears it from them. */
export class OtherTabs {
  onNews: (chats: ReadonlySet<string>) => void = () => {};
  readonly #channel = new BroadcastChannel(CHANNEL);

  constructor() {
    this.#channel.addEventListener("message", (event: MessageEvent<string[]>) =>
      this.onNews(new Set(event.data)),
    );
  }

  tell(chats: ReadonlySet<string>): void {
    this.#channel.postMessage([...chats]);
  }
}
