/** The WGSL of scores that change and of observed attention: loaded once something may have to be evicted. */
import anchors from "../../shaders/lib/score_anchors.wgsl?raw";
import pairs from "../../shaders/lib/score_pairs.wgsl?raw";
import parts from "../../shaders/lib/score_parts.wgsl?raw";
import spread from "../../shaders/lib/score_spread.wgsl?raw";
import main from "../../shaders/score_cache.wgsl?raw";

export { default as block } from "../../shaders/lib/candidates_block.wgsl?raw";
export { default as step } from "../../shaders/lib/candidates_step.wgsl?raw";
export { default as logit } from "../../shaders/lib/logit.wgsl?raw";
export { default as observed } from "../../shaders/lib/observed.wgsl?raw";
export { default as observe } from "../../shaders/observe.wgsl?raw";
export { default as observeLse } from "../../shaders/observe_lse.wgsl?raw";

export const scoreCache = [pairs, anchors, spread, parts, main];
