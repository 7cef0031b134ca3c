/** The WGSL of scores that change and of observed attention: loaded once something may have to be evicted. */
export { default as block } from "../../shaders/lib/candidates_block.wgsl?raw";
export { default as step } from "../../shaders/lib/candidates_step.wgsl?raw";
export { default as logit } from "../../shaders/lib/logit.wgsl?raw";
export { default as observed } from "../../shaders/lib/observed.wgsl?raw";
export { default as observe } from "../../shaders/observe.wgsl?raw";
export { default as observeLse } from "../../shaders/observe_lse.wgsl?raw";
export { default as scoreCache } from "../../shaders/score_cache.wgsl?raw";
