/** The kernels of scores that change, and of observed attention: one chunk, loaded once something may have to be evicted. */
export { headStride, writeHeadScore } from "./head-data.ts";
export { createJoinedScores, PARTS_TILES, partsBytes } from "./joined-scores.ts";
export { createObserve, OBSERVE_TILES } from "./observe.ts";
export { createScoreCache } from "./score-cache.ts";
export { headDataShape } from "./score-features.ts";
