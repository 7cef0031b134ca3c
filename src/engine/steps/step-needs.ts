/** What the next tokens of a sequence need, from its books alone. */

import { type PolicyName, policyOf } from "../../cache/policies/index.ts";
import { scoringId, scoringTurn } from "../../cache/policies/scoring-id.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { LaterStage } from "../../gpu/compile-queue.ts";
import { FEW_ROWS } from "../../kernels/products/linear.ts";

/** What a step takes of one sequence. */
export interface StepPart {
  readonly sequence: KvSequence;
  readonly tokens: readonly number[];
}

/** What must be compiled before something is run: see `Runner.compiled`. */
export interface Needs {
  readonly stages?: readonly LaterStage[];
  /** By which a cache is scored and evicts. */
  readonly policy?: PolicyName;
  /** The policy scores a cache that another one filled. */
  readonly whole?: boolean;
  /** The head runs on more than one row. */
  readonly heads?: boolean;
  /** One step runs several tokens. */
  readonly drafts?: boolean;
  /** Who keeps what is counted. */
  readonly retention?: boolean;
  /** Positions are folded. */
  readonly folds?: boolean;
  /** What the file has of these tokens is at hand. */
  readonly tokens?: readonly number[] | undefined;
}

/** Every step under a policy. */
export const everyStep = (policy: PolicyName, whole = false): Needs => ({
  stages: ["answer", "turn", "eviction"],
  policy,
  whole,
});

/** What the next tokens of a sequence need; of a prompt that is read chunk by chunk, what its first chunk needs. */
export function needsOf(sequence: KvSequence, tokens: number, of: "prompt" | "answer"): Needs {
  const folds = sequence.foldsWith(tokens);
  if (scoresChunk(sequence, tokens) || sequence.dividesWith(tokens))
    return { ...everyStep(sequence.settings.policy), folds };
  if (of === "answer") return { stages: ["answer"], folds };
  const few = tokens <= FEW_ROWS ? (["answer"] as const) : [];
  const behind = sequence.tokensSeen > 0 ? (["turn"] as const) : [];
  return { stages: [...few, ...behind], folds };
}

/** Whether a chunk is to be scored. Skipped until eviction is near, unless the policy must observe. */
export function scoresChunk(sequence: KvSequence, tokens: number): boolean {
  const { observation } = policyOf(sequence.settings.policy);
  if (observation && !observation.apart) return true;
  return sequence.evictsWith(tokens + scoringTurn(sequence.settings).every);
}

/** Policies whose caches are due to be scored, and the first layer that is. */
export function dueScoring(parts: readonly StepPart[]): [PolicyName, number][] {
  const due = new Map<PolicyName, number>();
  for (const { sequence } of parts) {
    const { policy, wholeLayers } = sequence.settings;
    if (isDue(sequence)) due.set(policy, Math.min(wholeLayers, due.get(policy) ?? wholeLayers));
  }
  return [...due];
}

/**
 * Whether the decode step after `more` tokens must score the sequence's cache first: the GPU looks again, head
 * by head.
 */
export function isDue(sequence: KvSequence, more = 0): boolean {
  if (scoringId(sequence.settings.policy) === 0) return false;
  const { every, phase } = scoringTurn(sequence.settings);
  return (sequence.tokensSeen + more) % every === phase && sequence.evictsWith(more + every);
}
