/** What a ranking may look at, of one cached pair seen from one query. */
export interface RankedPair {
  /** The key's Q-Filter score, standardised by its head's mean and std. */
  readonly z: number;
  /** ln |v| */
  readonly logValue: number;
  /** ln(age + 1) */
  readonly logAge: number;
}

/** Fitted weights of one kv head. */
export interface RankingWeights {
  readonly a: number;
  readonly b: number;
}

/** First and most recent tokens that are kept whatever they score. */
export const SINKS = 4;
export const WINDOW = 32;

/**
 * Which pairs a head keeps when head budgets are measured: higher = keep. The expected attention of the
 * age fit times the length of the value, in logarithms.
 */
export const rank = ({ z, logValue, logAge }: RankedPair, { a, b }: RankingWeights): number =>
  a * z + logValue + b * logAge;
