// Whose attention `observe` sees of a prompt block: its last rows, which are the last of its last chunk. `leave` says where
// the result goes. Needs what lib/candidates_block needs.
//: import scoring/lib/candidates_block

struct ObservedQuery {
  row: u32,   // of qkv
  sees: u32,  // rows of the block that it sees, itself included
}
fn observed_queries() -> u32 { return eviction.queries; }
fn observed_query(z: u32, q: u32) -> ObservedQuery {
  return ObservedQuery(eviction.first_query + q, eviction.rows - eviction.queries + q + 1u);
}
