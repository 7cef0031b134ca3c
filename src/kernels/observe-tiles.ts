/** Workgroups that share the candidates of a kv head where attention is observed. */
export const OBSERVE_TILES = 16;
