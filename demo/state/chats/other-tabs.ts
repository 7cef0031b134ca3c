const CHANNEL = "winnow-chats";

/** Tells the page's other tabs which chats have been written, and hears it from them. */
export class OtherTabs {
  onNews: (chats: ReadonlySet<string>) => void = () => {};
  readonly #channel = openChannel();

  constructor() {
    this.#channel?.addEventListener("message", (event: MessageEvent<string[]>) =>
      this.onNews(new Set(event.data)),
    );
  }

  tell(chats: ReadonlySet<string>): void {
    this.#channel?.postMessage([...chats]);
  }
}

/** Null where the browser refuses it, as it does where it refuses storage. */
function openChannel(): BroadcastChannel | null {
  try {
    return new BroadcastChannel(CHANNEL);
  } catch {
    return null;
  }
}
