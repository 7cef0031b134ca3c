// Whose attention `observe` sees of a second reading (KVzip, arXiv 2505.23416): every row of a chunk that stands behind the
// block's `eviction.rows` rows and reads them once more. A candidate's score is the most that any of these rows pays to it, chunk
// after chunk; what is cached also keeps what earlier blocks' second readings paid, unless its score is of another kind.
// Needs what lib/candidates_block needs.
//: import lib/batch
//: import scoring/lib/candidates_block

@group(0) @binding(8) var<storage, read> rows: array<Row>;
@group(0) @binding(9) var<uniform> batch: Batch;

struct ObservedQuery {
  row: u32,   // of qkv
  sees: u32,  // rows of the block that it sees
}
fn observed_queries() -> u32 { return batch.rows; }
fn observed_query(z: u32, q: u32) -> ObservedQuery { return ObservedQuery(q, eviction.rows); }

fn leave(kv_head: u32, index: u32, c: Candidate, most: f32) {
  let begins = rows[0].block_row == eviction.rows;
  let unknown = begins && (c.in_block || eviction.anew != 0u);
  set_candidate_score(c, max(most, select(candidate_score(c), 0.0, unknown)));
}
