// The candidates of an eviction while decoding: the slots of a kv head's cache. The same names as in
// lib/candidates_block.wgsl. Needs pages with its accessors (read words), tables, lanes, and
// SCORING: the lanes this kernel is for.
//: import lib/paging

@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> pages: array<u32>;

// What a workgroup works on: row z's lane, before its token is appended, if it is time.
struct Work { lane: u32, rows: u32, last: u32, ahead: u32, due: bool, anew: bool }

fn work_of(z: u32) -> Work {
  let row = rows[z];
  let every = max(lanes[row.lane].every, 1u);
  let due = lanes[row.lane].scoring == SCORING && row.position % every == lanes[row.lane].phase;
  return Work(row.lane, 0u, row.position - 1u, every, due, false);
}

struct Candidate {
  page: u32,
  slot: u32,
}

fn candidate_at(index: u32, count: u32, row: u32, kv_head: u32) -> Candidate {
  return Candidate(tables[page_entry(row, index)], index);
}

fn candidate_position(c: Candidate) -> u32 { return pages[pages_position_word(c.page, c.slot)]; }
fn candidate_score(c: Candidate) -> f32 { return bitcast<f32>(pages[pages_score_word(c.page, c.slot)]); }
fn set_candidate_score(c: Candidate, score: f32) {
  pages[pages_score_word(c.page, c.slot)] = bitcast<u32>(score);
}
fn candidate_scales(c: Candidate) -> vec2<f32> { return pages_scales(pages_scale_word(c.page, c.slot)); }
fn candidate_key(c: Candidate, octet: u32) -> Octet {
  return pages_octet(pages_key(c.page, c.slot) + octet * PAGES_OCTET_UNITS);
}
fn candidate_value(c: Candidate, octet: u32) -> Octet {
  return pages_octet(pages_value(c.page, c.slot) + octet * PAGES_OCTET_UNITS);
}

// The queries that `observe` observes: the row's own.
struct ObservedQuery {
  row: u32,   // of qkv
  sees: u32,  // rows of the prompt block that it sees, itself included
}
fn observed_queries() -> u32 { return 1u; }
fn observed_query(z: u32, q: u32) -> ObservedQuery { return ObservedQuery(z, 0u); }
