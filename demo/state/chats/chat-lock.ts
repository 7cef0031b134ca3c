/** How long a tab that reloads may take to let go of its own chat. */
const PATIENCE_MS = 400;

const nameOf = (chat: string): string => `winnow-chat:${chat}`;

/** Holds one chat at a time for this tab: only its holder writes a chat. A browser without Web Locks refuses nobody. */
export class ChatLock {
  #letGo: (() => void) | null = null;
  #held: string | null = null;

  /** Lets go of the last chat, and says whether this one is free. */
  async take(chat: string): Promise<boolean> {
    if (this.#held === chat) return true;
    this.release();
    const letGo = await grab(chat);
    if (letGo === null) return false;
    this.#held = chat;
    this.#letGo = letGo;
    return true;
  }

  release(): void {
    this.#letGo?.();
    this.#letGo = this.#held = null;
  }

  /** Runs `write` while no other tab has the chat open; false where one has. */
  async during(chat: string, write: () => Promise<void>): Promise<boolean> {
    if (this.#held === chat) {
      await write();
      return true;
    }
    const letGo = await grab(chat);
    if (letGo === null) return false;
    try {
      await write();
    } finally {
      letGo();
    }
    return true;
  }

  /** Resolves once no tab holds the chat; rejects when the signal fires. Nothing is held then: this only waits. */
  async free(chat: string, signal: AbortSignal): Promise<void> {
    await navigator.locks?.request(nameOf(chat), { mode: "shared", signal }, () => undefined);
  }
}

/** The function that lets go, or null where another tab holds the chat. */
async function grab(chat: string): Promise<(() => void) | null> {
  if (navigator.locks === undefined) return () => {};
  // However slow the browser is, it answers whether the lock is free; only who holds it may be about to let go.
  const letGo = await request(chat, { ifAvailable: true });
  return letGo ?? request(chat, { signal: AbortSignal.timeout(PATIENCE_MS) });
}

const request = (chat: string, options: LockOptions): Promise<(() => void) | null> =>
  new Promise((resolve) => {
    const held = navigator.locks.request(nameOf(chat), options, (lock) => {
      if (lock === null) return resolve(null);
      return new Promise<void>((letGo) => resolve(letGo));
    });
    // Where the browser refuses locks as it refuses storage, there is no other tab to lock out.
    held.catch(({ name }: Error) => resolve(name === "SecurityError" ? () => {} : null));
  });
