import { policyOf } from "../../../cache/policies/index.ts";
import { scoringTurn } from "../../../cache/policies/scoring-id.ts";
import type { KvSequence } from "../../../cache/sequence/kv-sequence.ts";
import { GREEDY } from "../../../engine/chat/generate-options.ts";
import type { DeviceState } from "../../../engine/state.ts";
import { Sampler } from "../../../engine/steps/sampler.ts";
import { tokenRows } from "../../../engine/steps/token-rows.ts";
import { decodeSplits } from "../../../kernels/attention/attention-tiling.ts";
import { BATCH, consecutiveRows, ROW } from "../../../kernels/records.ts";
import type { GpuTimer } from "../gpu-timer.ts";
import { tablesAsNow, writeCounts } from "../page-tables.ts";
import { evictAnything } from "../step-cases.ts";
import { type PartFigure, partFigures } from "./part-figures.ts";
import { decodeLayers, type ShapeModel, type StepPart, stepParts } from "./step-parts.ts";

/** One token of a sequence, behind a history that is not read: pages of zeros take as long. */
export class DecodeSteps {
  private readonly model: ShapeModel;
  private readonly state: DeviceState;
  private readonly timer: GpuTimer;
  private readonly sequence: KvSequence;

  constructor(model: ShapeModel, state: DeviceState, timer: GpuTimer, sequence: KvSequence) {
    this.model = model;
    this.state = state;
    this.timer = timer;
    this.sequence = sequence;
  }

  /** The parts of a token behind `history` tokens; `rest` has its part of scoring the cache anew, where the policy does. */
  async measure(history: number): Promise<PartFigure[]> {
    const { model, state, timer, sequence } = this;
    const { gpu, runner, sample } = state;
    const { transformer, scorer } = runner;
    await tokenRows(runner, [0]);
    const slots = this.fill(history);
    const splits = decodeSplits(slots);
    gpu.write(transformer.buffers.batch, BATCH.pack({ rows: 1, first: 0, splits }));
    gpu.write(transformer.buffers.rows, ROW.pack(...consecutiveRows([0], history, sequence.lane)));
    const { vocabulary } = model.config;
    const sampler = new Sampler(gpu, sample, transformer.buffers, GREEDY, [0], [], vocabulary);
    const { layers, rest } = decodeLayers(state, transformer.decode(1, splits), model.types.length);
    const ends = [...rest, ...transformer.head(1), ...sampler.dispatches];
    const parts = stepParts(model, state, { rows: 1, slots }, { layers, rest: ends, head: true });
    const { policy, budget } = sequence.settings;
    const scores = policyOf(policy).scoring && budget !== "full" && history >= budget;
    const scoring: StepPart[] = scores
      ? [
          {
            name: "scoring",
            layers: model.config.layers,
            of: this.wholeCached(),
            dispatches: scorer.step(policy, 1, 0),
            work: { bytes: 0, flops: 0 },
          },
        ]
      : [];
    const tables = tablesAsNow(state);
    const timed = await partFigures(timer, [...parts, ...scoring], tables.reset);
    tables.free();
    sampler.dispose();
    const { every } = scoringTurn(sequence.settings);
    return timed.map((part) =>
      part.name === "scoring"
        ? { ...part, ms: part.ms / every, msPerLayer: part.msPerLayer / every }
        : part,
    );
  }

  /** How many layers of the whole model hold keys and values. */
  private wholeCached(): number {
    const { types, whole, config } = this.model;
    const cached = new Set(
      types.filter((_, i) => config.blocks[i]!.kind === "attention" && !config.blocks[i]!.borrows),
    );
    return whole.filter((type) => cached.has(type)).length;
  }

  /** Leaves the cache as after `history` tokens; the most slots that a head has. */
  private fill(history: number): number {
    const { state, sequence } = this;
    const { capacities } = sequence.pages;
    sequence.reserve(history);
    // Twice: the second step goes on from the state of the first.
    for (let step = 0; step < 2; step += 1) state.runner.submitToken(sequence, 0);
    evictAnything(state, sequence);
    writeCounts(state, sequence, history, capacities);
    return Math.min(history, Math.max(...capacities.flat()));
  }
}
