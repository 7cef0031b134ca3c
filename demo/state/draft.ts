import type { Attachment } from "./chats/chat-types.ts";

const KEY = "winnow-draft";

/** What the user has written and added, and has not sent. */
interface Draft {
  readonly text: string;
  readonly attachments: readonly Attachment[];
}

/** Keeps it over a reload of this tab; false where the browser has no room for all of it. */
export function keepDraft(draft: Draft): boolean {
  const isEmpty = draft.text === "" && draft.attachments.length === 0;
  try {
    sessionStorage.removeItem(KEY);
    if (!isEmpty) sessionStorage.setItem(KEY, JSON.stringify(draft));
    return true;
  } catch {
    // The words at least.
    if (draft.attachments.length > 0) keepDraft({ ...draft, attachments: [] });
    return isEmpty;
  }
}

/** What was kept, which is forgotten here; null where there is nothing. */
export function takeDraft(): Draft | null {
  try {
    const kept = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
    return kept === null ? null : JSON.parse(kept);
  } catch {
    return null;
  }
}
