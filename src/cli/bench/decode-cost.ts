import { resolveCacheSettings } from "../../cache/budget.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { scoringTurn } from "../../cache/policies/scoring-id.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { DeviceState } from "../../engine/state.ts";
import { Sampler } from "../../engine/steps/sampler.ts";
import { decodeSplits } from "../../kernels/attention/attention-tiling.ts";
import { consecutiveRows, ROW } from "../../kernels/records.ts";
import type { GpuTimer } from "./gpu-timer.ts";
import { tablesAsNow, writeCounts } from "./page-tables.ts";
import { evictAnything } from "./step-cases.ts";

/** Milliseconds on the device. */
export interface DecodeCost {
  /** Tokens seen before. */
  history: number;
  /** A whole step under eviction, scoring left out. */
  stepMs: number;
  /** Its writes to the cache, which find the pair to evict; and the same into a cache that evicts nothing. */
  appendMs: number;
  plainAppendMs: number;
  /** Scoring all heads anew, where the policy does, and how many tokens lie between two times. */
  scoreMs: number;
  every: number;
  /** Part of the time per token, 0 to 1: (append - plain append + score / every) / (step + score / every). */
  share: number;
}

/** Room beyond the budget that appends without eviction are timed in. */
const SLACK = 64;

export async function decodeCost(
  core: EngineCore,
  state: DeviceState,
  timer: GpuTimer,
  sequence: KvSequence,
  budget: number,
  history: number,
): Promise<DecodeCost> {
  const { gpu, pool, runner, sample } = state;
  const { transformer, scorer } = runner;
  const { policy } = sequence.settings;
  const { vocabulary } = core.config;
  const plain = new KvSequence(pool, resolveCacheSettings({ policy: "full" }));
  plain.reserve(budget + SLACK);
  // A token that is due to be scored.
  const { every, phase } = scoringTurn(sequence.settings);
  const at = Math.ceil((history + 1) / every) * every + phase;
  runner.submitToken(sequence, 0);
  evictAnything(state, sequence);
  const row = (lane: number): void =>
    gpu.write(transformer.buffers.rows, ROW.pack(...consecutiveRows([0], at, lane)));
  const splits = decodeSplits(sequence.pages.longestAfter(0));
  const sampler = new Sampler(gpu, sample, transformer.buffers, GREEDY, [0], [], vocabulary);
  const step = transformer.decode(1, splits);
  const appends = step.filter(({ kernel }) => kernel.label.startsWith("kv_write"));
  writeCounts(state, plain, budget);
  const tables = tablesAsNow(state);
  const { reset } = tables;
  row(sequence.lane);
  const whole = [...step, ...transformer.head(1), ...sampler.dispatches];
  const stepMs = (await timer.time(whole)).median;
  const scoring = policyOf(policy).scoring ? scorer.step(policy, 1, 0) : [];
  const scoreMs = scoring.length > 0 ? (await timer.time(scoring)).median : 0;
  // The lane is named by the row, which is put back with the tables.
  const rows = [sequence.lane, plain.lane].map((lane) =>
    gpu.ledger.storage("staging", `bench row ${lane}`, 16),
  );
  // The plain lane never folds, and where its token stands changes no time.
  const last = Math.min(at, core.config.contextLength - 1);
  for (const [i, [lane, position]] of [
    [sequence.lane, at] as const,
    [plain.lane, last] as const,
  ].entries())
    gpu.write(rows[i]!, ROW.pack(...consecutiveRows([0], position, lane)));
  const [append, plainAppend] = await timer.timeInTurns(
    rows.map((from) => ({
      dispatches: appends,
      reset: (encoder: GPUCommandEncoder): void => {
        reset(encoder);
        encoder.copyBufferToBuffer(from, 0, transformer.buffers.rows, 0, 16);
      },
    })),
  );
  sampler.dispose();
  tables.free();
  for (const buffer of rows) gpu.ledger.destroy(buffer);
  plain.free();
  const [appendMs, plainAppendMs] = [append!.median, plainAppend!.median];
  const scored = scoreMs / every;
  const share = (appendMs - plainAppendMs + scored) / (stepMs + scored);
  return { history, stepMs, appendMs, plainAppendMs, scoreMs, every, share };
}
