import type { CacheOptions } from "../../cache/cache-options.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { SequenceUsage } from "../../cache/sequence/sequence-books.ts";
import { loadLater, throwIfAborted, WinnowError } from "../../errors.ts";
import type { Dispatch, Kernel } from "../../gpu/kernel.ts";
import { createNll, NLL } from "../../kernels/sampling/nll.ts";
import { CHUNK_ROWS, LOGIT_ROWS } from "../../model/buffers.ts";
import type { EngineCore } from "../core.ts";
import type { DeviceState } from "../state.ts";
import { everyStep } from "../steps/step-needs.ts";
import { tokenRows } from "../steps/token-rows.ts";
import type { AttentionMass } from "./attention-mass.ts";

/** Most lanes of a step: the rows that the activations have room for. */
export const MAX_LANES = CHUNK_ROWS;

/** A sequence that steps together with others. */
export interface Lane {
  readonly sequence: KvSequence;
}

export interface LaneInput {
  readonly lane: Lane;
  readonly token: number;
  /** The token that really follows: its loss is wanted. */
  readonly target?: number;
}

/**
 * Several sequences, each under a cache of its own, that take a token each through one pass over the
 * weights. What a lane gives has the same bits whoever steps beside it, also when it steps alone.
 * Everything is on one device: after its loss `engine.lanes` starts the work anew.
 */
export class Lanes {
  private readonly core: EngineCore;
  private readonly state: DeviceState;
  private readonly most: number;
  private readonly nll: Dispatch;
  private readonly targets: GPUBuffer;
  private readonly losses: GPUBuffer;
  private readonly params: GPUBuffer;
  private readonly open = new Set<Lane>();
  private mass: AttentionMass | undefined;
  private stepped = 0;

  /** For steps of at most `most` lanes; compiles what only lanes need. Throws invalid_argument. */
  static async create(core: EngineCore, state: DeviceState, most: number): Promise<Lanes> {
    if (!Number.isInteger(most) || most < 1 || most > MAX_LANES)
      throw new WinnowError(
        "invalid_argument",
        `lanes: must be a whole number from 1 to ${MAX_LANES}, got ${most}`,
      );
    const [kernel] = await Promise.all([
      createNll(state.gpu),
      state.runner.compiled({ heads: true }),
    ]);
    state.runner.transformer.makeRoom(most);
    return new Lanes(core, state, most, kernel);
  }

  private constructor(core: EngineCore, state: DeviceState, most: number, kernel: Kernel) {
    this.core = core;
    this.state = state;
    this.most = most;
    const { ledger } = state.gpu;
    this.targets = ledger.storage("staging", "lane targets", LOGIT_ROWS * 4);
    this.losses = ledger.storage("staging", "lane losses", most * 4);
    this.params = ledger.uniform("lane nll", new Uint32Array(NLL.words));
    const { logits } = state.runner.transformer.buffers;
    const { params, targets, losses } = this;
    this.nll = kernel.dispatch({ params, logits, targets, nll: losses }, [1]);
  }

  /** A lane with an empty cache; another policy steps in where one lacks its calibration. Throws invalid_argument. */
  async add(cache: CacheOptions): Promise<Lane> {
    this.core.checkStorage(cache.kv);
    const settings = this.core.settingsOf(this.core.withPolicy(cache));
    await this.state.runner.compiled(everyStep(settings.policy));
    const lane = { sequence: new KvSequence(this.state.pool, settings) };
    this.open.add(lane);
    return lane;
  }

  /** A lane that goes on from where another stands, and shares its pages until either writes to them. */
  fork({ sequence }: Lane): Lane {
    const lane = { sequence: sequence.fork() };
    this.open.add(lane);
    return lane;
  }

  /** Frees a lane's pages. */
  remove(lane: Lane): void {
    if (this.open.delete(lane)) lane.sequence.free();
  }

  usage(lane: Lane): SequenceUsage {
    return lane.sequence.usage();
  }

  /**
   * Runs a part of a prompt in one lane, by the prompt's path, and returns the logits [V]
   * after its last token.
   */
  async prefill(
    lane: Lane,
    tokens: readonly number[],
    signal?: AbortSignal,
    onRun: (tokens: number) => void = () => {},
  ): Promise<Float32Array> {
    if (tokens.length === 0) throw new WinnowError("internal", "a lane's prompt has no tokens");
    const { gpu, runner, prompts } = this.state;
    await runner.compiled({ folds: lane.sequence.foldsWith(tokens.length) });
    let bytes: Promise<ArrayBuffer> | undefined;
    await prompts.read(
      lane.sequence,
      tokens,
      ({ taken, row, last }) => {
        onRun(taken.length);
        if (!last || row === undefined) return;
        runner.submitHead(1, row);
        bytes = gpu.read(runner.transformer.buffers.logits, 0, this.vocabulary * 4);
      },
      signal,
    );
    return new Float32Array(await (bytes as Promise<ArrayBuffer>));
  }

  /** Compiles what `mass` of a step needs, up to position `positions` - 1. */
  async prepareMass(positions: number): Promise<void> {
    const { AttentionMass } = await loadLater(
      "attention mass",
      () => import("./attention-mass.ts"),
    );
    this.mass?.dispose();
    this.mass = await AttentionMass.create(this.state, this.most, positions);
  }

  /**
   * One token of each lane. `logits` [V] of each where asked for; `losses`: -ln p(target) of each lane that
   * has a target, NaN of the others. `mass`, where asked for: the part of the first lane's attention that each
   * lane's cache retains (`AttentionMass`); the first one must be uncompressed, and `prepareMass` come before.
   * The inputs' lanes must differ.
   */
  async step(
    inputs: readonly LaneInput[],
    want: { logits?: boolean; mass?: boolean; signal?: AbortSignal } = {},
  ): Promise<{ losses: Float32Array; logits: Float32Array[]; mass: number[] }> {
    throwIfAborted(want.signal);
    if (inputs.length === 0 || inputs.length > this.most)
      throw new WinnowError("internal", `${inputs.length} lanes in a step of up to ${this.most}`);
    const { gpu, runner } = this.state;
    await runner.compiled({ folds: inputs.some(({ lane }) => lane.sequence.foldsWith(1)) });
    await tokenRows(
      runner,
      inputs.map(({ token }) => token),
    );
    const measured = want.mass ? this.measuredFor(inputs) : undefined;
    runner.submitLanes(
      inputs.map(({ lane, token }) => ({ sequence: lane.sequence, token })),
      measured && ((layer, rows) => measured.dispatches(layer, rows)),
    );
    const mass = measured?.read(inputs.length);
    mass?.catch(() => {}); // awaited at the end
    const wantsLosses = inputs.some(({ target }) => target !== undefined);
    const read: Promise<ArrayBuffer>[] = [];
    const row = this.vocabulary * 4;
    for (let first = 0; first < inputs.length; first += LOGIT_ROWS) {
      const part = inputs.slice(first, first + LOGIT_ROWS);
      gpu.write(this.targets, new Uint32Array(part.map(({ target }) => target ?? 0)));
      gpu.write(this.params, NLL.pack({ vocabulary: this.vocabulary, out: first }));
      if (wantsLosses || want.logits)
        runner.submitLaneHead(part.length, first, [{ ...this.nll, workgroups: [part.length] }]);
      // The next part's logits take the place of these: the copy is submitted before.
      if (want.logits) read.push(gpu.read(runner.transformer.buffers.logits, 0, part.length * row));
    }
    const [losses, ...parts] = await Promise.all([
      wantsLosses ? gpu.read(this.losses, 0, inputs.length * 4) : this.settle(),
      ...read,
    ]);
    const logits = parts.flatMap((bytes) =>
      Array.from(
        { length: bytes.byteLength / row },
        (_, i) => new Float32Array(bytes, i * row, this.vocabulary),
      ),
    );
    const values = losses ? new Float32Array(losses) : new Float32Array(inputs.length);
    inputs.forEach(({ target }, i) => {
      if (target === undefined) values[i] = Number.NaN;
    });
    return { losses: values, logits, mass: (await mass) ?? [] };
  }

  /** Frees every lane and what the steps needed. */
  close(): void {
    for (const lane of [...this.open]) this.remove(lane);
    this.mass?.dispose();
    for (const buffer of [this.targets, this.losses, this.params])
      this.state.gpu.ledger.destroy(buffer);
  }

  private measuredFor([first]: readonly LaneInput[]): AttentionMass {
    if (this.mass && first?.lane.sequence.usage().pairsEvicted === 0) return this.mass;
    throw new WinnowError("internal", "mass is of a first lane that has dropped nothing");
  }

  private get vocabulary(): number {
    return this.state.runner.transformer.config.vocabulary;
  }

  /** Waits, so that steps whose result no caller awaits do not pile up in the queue. */
  private async settle(): Promise<undefined> {
    this.stepped += 1;
    if (this.stepped % 16 === 0) await this.state.runner.idle();
    return undefined;
  }
}
