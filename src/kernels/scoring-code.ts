/** The WGSL of scores that change and of observed attention. */
export { default as block } from "../../shaders/lib/candidates_block.wgsl";
export { default as step } from "../../shaders/lib/candidates_step.wgsl";
export { default as observe } from "../../shaders/observe.wgsl";
export { default as observeLse } from "../../shaders/observe_lse.wgsl";
export { default as scoreCache } from "../../shaders/score_cache.wgsl";
export { default as scoreContext } from "../../shaders/score_context.wgsl";
export { default as scoreJoin } from "../../shaders/score_join.wgsl";
export { default as scoreParts } from "../../shaders/score_parts.wgsl";
