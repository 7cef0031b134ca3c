import type { CacheUsage, Retention } from "../engine/chat/cache-usage.ts";
import type { ChatMessage } from "./chat-types.ts";

export type { CacheOptions } from "../cache/cache-options.ts";
export type { PolicyName } from "../cache/policies/index.ts";
export type { KvStorage } from "../kernels/pages/page-format.ts";
export type { CacheUsage, Retention };

/** Which conversation a cache call means. */
export interface ConversationOptions {
  /** The name that requests give it. Default: the conversation last used. */
  conversation?: string;
}

/** Which conversation is saved or loaded. */
export interface SavedChatOptions extends ConversationOptions {
  /** Stops it; the conversation then stays as it is. */
  signal?: AbortSignal;
}

/** A chat that was saved: its file, its address, or its bytes. */
export type SavedChat = Blob | string | ArrayBufferLike | ArrayBufferView;

/** A chat that is in the cache again. */
export interface LoadedChat {
  /**
   * What the cache has read: send these, and the next message behind them, and nothing of them is read again. Empty
   * where nothing was said.
   */
  messages: ChatMessage[];
  /** What the conversation holds now. */
  usage: CacheUsage;
}
