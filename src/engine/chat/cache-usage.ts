import type { Protected } from "../../cache/cache-options.ts";
import type { PolicyName } from "../../cache/policies/index.ts";

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
  /** Whether the system message is never evicted. */
  protect: Protected;
  /** Whether long prompts are read twice: never where the model's calibration has not measured second readings. */
  reread: boolean;
  /** Tokens that the conversation has put through the model. */
  tokensSeen: number;
  /** Pairs held now, summed over layers and kv heads. */
  pairsKept: number;
  /** Pairs dropped so far, summed over layers and kv heads. */
  pairsEvicted: number;
  /** Bytes of the pages in use (keys, values, positions, scores, and the page tables), and of the states. */
  bytes: number;
  /**
   * Bytes of the states that some models' layers keep in place of keys and values: of the tokens seen, and of those that
   * the chat can go back to without reading. They do not grow with its length, and no budget changes them.
   */
  bytesOfStates: number;
  /** What an uncompressed f16 cache of `tokensSeen` tokens would hold, one state included. */
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
