const KEY = "winnow-chat";

/** Which chat this tab has open, kept over a reload where the browser keeps anything. */
export const remembered = {
  get(): string | null {
    try {
      return sessionStorage.getItem(KEY);
    } catch {
      return null;
    }
  },
  set(chat: string): void {
    try {
      sessionStorage.setItem(KEY, chat);
    } catch {
      // The tab then begins with a new chat after a reload.
    }
  },
};
