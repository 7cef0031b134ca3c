/** The WGSL of scores that change and of observed attention. */
export { default as step } from "../../../shaders/scoring/lib/candidates_step.wgsl";
export { default as block } from "../../../shaders/scoring/lib/queries_block.wgsl";
export { default as reread } from "../../../shaders/scoring/lib/queries_reread.wgsl";
export { default as observe } from "../../../shaders/scoring/observe.wgsl";
export { default as observeLse } from "../../../shaders/scoring/observe_lse.wgsl";
export { default as scoreCache } from "../../../shaders/scoring/score_cache.wgsl";
export { default as scoreContext } from "../../../shaders/scoring/score_context.wgsl";
export { default as scoreJoin } from "../../../shaders/scoring/score_join.wgsl";
export { default as scoreParts } from "../../../shaders/scoring/score_parts.wgsl";
