import type { HeadScore } from "../../kernels/scoring/head-data.ts";
import type { ScoreFeatures } from "../../kernels/scoring/score-features.ts";

/** What calibration knows of one kv head; each part is there or not. */
export interface HeadKnowledge {
  /** D */
  readonly headDim: number;
  /** [D], negative as published: high scores have a low key . filter. */
  readonly filter: Float32Array | undefined;
  /** [r, D], before RoPE: mean of each query head of the group over the calibration text. */
  readonly queryMeans: Float32Array | undefined;
  /** [D]: the group's mean of these. */
  readonly queryMean: Float32Array | undefined;
  /** [D/2]: mean length of each rotary pair of the query. */
  readonly queryAbs: Float32Array | undefined;
  /** [D/2]: what of that length the group's mean queries do not explain, E|q_j| - mean over heads |E q_j|. */
  readonly unexplained: Float32Array | undefined;
  /** [D, D]: covariance of the queries before RoPE. */
  readonly queryCovariance: Float32Array | undefined;
  /** a, b, mean, std: attention = exp(c + a (score - mean) / std + b ln(age + 1)). */
  readonly ageFit: Float32Array | undefined;
  /** [8]: weights of the fitted score's features, in the order of `SCORE_FEATURES`. */
  readonly scoreFit: Float32Array | undefined;
  /** Angle of each rotary pair a token, [D/2]; zeros in a layer without RoPE. */
  readonly frequencies: Float64Array;
}

/** Names of what a policy needs calibrated. */
export type Need = "filters" | "queryMean" | "queryAbs" | "queryCovariance" | "ageFit" | "scoreFit";

/** The score of a key as its pair is written, evaluated by shaders/lib/score.wgsl; higher = keep. */
export interface InsertionScore {
  /** Times (key . filter). */
  readonly dot: number;
  /** Times |key|. */
  readonly norm: number;
  readonly position: number;
  /** Times a hash of the position, in [0, 1). */
  readonly random: number;
}

export const UNSCORED: InsertionScore = { dot: 0, norm: 0, position: 0, random: 0 };

/** Scores that change as a chat goes on: computed anew, for all pairs of a head at once. */
export interface Scoring {
  /** Tokens from one scoring to the next while decoding; never more than the window. */
  readonly every: number;
  readonly features: ScoreFeatures;
  /** Where a prompt block is taken in, the score is joined from this and other parts (shaders/scoring/score_parts.wgsl). */
  readonly joined?: {
    /** Rows of the block on either side whose highest score a row takes. */
    readonly pool: number;
  };
  head(knowledge: HeadKnowledge): HeadScore;
}

/** Scores by chunks of `lag` successive tokens, at most: fixed once the next chunk is complete (lag_scores.wgsl). */
export interface LagScoring {
  readonly lag: number;
}

/** Attention that is looked at: of the last queries of a prompt, and while decoding where `accumulate`. */
export interface ObservationPlan {
  /** Last queries of a prompt block. */
  readonly queries: number;
  /** Rows on either side over which attention is averaged. */
  readonly pool: number;
  /** Take the most, not the mean, of neighbours and of the query group. */
  readonly peaks?: boolean;
  /** A part of a joined score, not the score itself. */
  readonly apart?: boolean;
  /** Add up over all queries of prompts and answers: slow. */
  readonly accumulate: boolean;
}

/** An eviction policy: higher scores are kept. */
export interface Policy {
  /** Its name for people. */
  readonly label: string;
  /** One line for people: what decides who stays. */
  readonly explanation: string;
  /** Whether anything is ever dropped. Default true. */
  readonly evicts?: boolean;
  /** Most recent tokens that are never evicted, where nothing else is asked for. Default 64. */
  readonly window?: number;
  /** Where nothing else is asked for, the window takes at most this part of the budget: 1 / share. Default 2. */
  readonly windowShare?: number;
  /** The parts of a calibration that it needs. */
  readonly needs: readonly Need[];
  /** The policy in its place where that is missing. */
  readonly fallback?: Policy;
  readonly score: InsertionScore;
  readonly scoring?: Scoring | LagScoring;
  readonly observation?: ObservationPlan;
  /** Whether what a head drops is added up, and attends as one more pair (shaders/lib/remainder.wgsl). */
  readonly remembers?: boolean;
  /** Whether heads get budgets of their own where calibration has measured what each loses. */
  readonly headBudgets?: boolean;
}

/** The features of a policy whose scores change and are made of features; else undefined. */
export const featureScoring = ({ scoring }: Policy): Scoring | undefined =>
  scoring && "features" in scoring ? scoring : undefined;

/** Tokens per chunk, at most, of a policy that scores by chunks. */
export const lagOf = ({ scoring }: Policy): number | undefined =>
  scoring && "lag" in scoring ? scoring.lag : undefined;
