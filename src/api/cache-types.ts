import type { PolicyName } from "../cache/policies/index.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import type { ChatMessage } from "./chat-types.ts";

export type { KvStorage, PolicyName };

/** How much of a chat the cache keeps, and what decides it. */
export interface CacheOptions {
  /** Key-value pairs that are kept per kv head, as a mean over heads, or "full". Default 512. */
  budget?: number | "full";
  /**
   * Most bytes that the cache of one conversation takes on the GPU, in place of `budget`: the engine keeps as many pairs
   * per kv head as fit, in whole pages of 32. Not together with `budget`, the policy "full" or `wholeLayers`.
   */
  bytes?: number;
  /**
   * Default "winnow". If the model lacks the calibration that a policy needs, another policy steps in and
   * `info().notices` says so.
   */
  policy?: PolicyName;
  /**
   * Most recent tokens that are never evicted. Default 24 for "winnow", 128 for "lag-kv", 64 for the others; at most
   * half of the budget, and a quarter for "lag-kv".
   */
  window?: number;
  /** First tokens that are never evicted. Default 4. */
  sinks?: number;
  /** How many of the first layers are not compressed: they keep every pair, beside the others' budget. Default 0. */
  wholeLayers?: number;
  /**
   * Storage of keys and values; it cannot change after the engine is made. Default "f16", and "f32" once the model is
   * seen to make keys or values larger than f16 holds; `info().notices` says so.
   */
  kv?: KvStorage;
}

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

/** What a conversation holds and has dropped, and its settings with every default decided. */
export interface CacheUsage {
  /** Pairs kept per kv head, as a mean over heads. */
  budget: number | "full";
  /** Most bytes that the conversation takes under these settings; "full" if it grows with the chat. */
  budgetBytes: number | "full";
  /** The policy in use; another one than was asked for, if the model lacks its calibration. */
  policy: PolicyName;
  /** Most recent tokens that are never evicted: what was asked for, else the policy's own for this budget. */
  window: number;
  /** First tokens that are never evicted. */
  sinks: number;
  /** How many of the first layers keep every pair. */
  wholeLayers: number;
  /** Tokens that the conversation has put through the model. */
  tokensSeen: number;
  /** Pairs held now, summed over layers and kv heads. */
  pairsKept: number;
  /** Pairs dropped so far, summed over layers and kv heads. */
  pairsEvicted: number;
  /** Bytes of the pages in use: keys, values, positions, scores, and the page tables. */
  bytes: number;
  /** What an uncompressed f16 cache of `tokensSeen` tokens would hold. */
  bytesUncompressed: number;
}

/** Which tokens of a conversation are still kept, and by how many heads. */
export interface Retention {
  /** How many heads there are: layers times kv heads. */
  heads: number;
  /** Text of each token seen, in order. */
  tokens: string[];
  /** kept[i], from 0 to `heads`: how many heads still keep token i. */
  kept: number[];
}
