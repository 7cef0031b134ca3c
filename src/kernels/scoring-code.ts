/** The WGSL of scores that change and of observed attention. */
import anchors from "../../shaders/lib/score_anchors.wgsl?raw";
import head from "../../shaders/lib/score_head.wgsl?raw";
import pairs from "../../shaders/lib/score_pairs.wgsl?raw";
import parts from "../../shaders/lib/score_parts.wgsl?raw";
import spread from "../../shaders/lib/score_spread.wgsl?raw";
import sums from "../../shaders/lib/score_sums.wgsl?raw";

export { default as block } from "../../shaders/lib/candidates_block.wgsl?raw";
export { default as step } from "../../shaders/lib/candidates_step.wgsl?raw";
export { default as joined } from "../../shaders/lib/joined.wgsl?raw";
export { default as logit } from "../../shaders/lib/logit.wgsl?raw";
export { default as observe } from "../../shaders/observe.wgsl?raw";
export { default as observeLse } from "../../shaders/observe_lse.wgsl?raw";
export { default as scoreCache } from "../../shaders/score_cache.wgsl?raw";
export { default as scoreContext } from "../../shaders/score_context.wgsl?raw";
export { default as scoreJoin } from "../../shaders/score_join.wgsl?raw";
export { default as scoreParts } from "../../shaders/score_parts.wgsl?raw";

/** What the kernels of scores begin with, and what those that read keys and values go on with. */
export const scoreHead = [head, sums];
export const scorePairs = [pairs, spread, anchors];
export { parts as partsOf };
