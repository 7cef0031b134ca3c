// Where score_context, score_parts and score_join leave what they know of a kv head's candidates, one after the other.
// Needs: HEAD_DIM, CONTEXT.
//: import scoring/lib/score_head

@group(0) @binding(8) var<storage, read_write> joined: array<vec4<f32>>; // [G, context, then a quad a candidate]

const CONTEXT_QUADS = CONTEXT * HEAD_DIM / 4u; // vectors of lib/score_pairs

// The word at which a head's part begins.
fn joined_at(kv_head: u32) -> u32 { return kv_head * (arrayLength(&joined) / shape.kv_heads); }
