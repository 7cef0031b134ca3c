// The candidates of an eviction: the slots of a kv head's cache, then the rows of the prompt block.
// Needs pages and chunk with their accessors (read words), tables, lanes.
//: import lib/paging
//: import pages/lib/eviction

@group(0) @binding(1) var<uniform> eviction: Eviction;
@group(0) @binding(6) var<storage, read_write> pages: array<u32>;
@group(0) @binding(7) var<storage, read_write> chunk: array<u32>;

// What a workgroup works on; `ahead`: tokens that will be appended before the next scoring; `anew`: the scores that
// are there are another policy's.
struct Work { lane: u32, rows: u32, last: u32, ahead: u32, due: bool, anew: bool }

fn work_of(z: u32) -> Work {
  let ahead = select(lanes[eviction.lane].every, EVERYTHING, eviction.all != 0u);
  return Work(eviction.lane, eviction.rows, eviction.last, ahead, true, eviction.anew != 0u);
}

struct Candidate {
  page: u32,
  slot: u32,
  in_block: bool,
}

fn candidate_at(index: u32, count: u32, row: u32, kv_head: u32) -> Candidate {
  if (index < count) { return Candidate(tables[page_entry(row, index)], index, false); }
  let r = index - count;
  return Candidate(kv_head * shape.chunk_pages + r / PAGE_SLOTS, r, true);
}

fn candidate_position(c: Candidate) -> u32 {
  if (c.in_block) { return chunk[chunk_position_word(c.page, c.slot)]; }
  return pages[pages_position_word(c.page, c.slot)];
}
fn candidate_score(c: Candidate) -> f32 {
  if (c.in_block) { return bitcast<f32>(chunk[chunk_score_word(c.page, c.slot)]); }
  return bitcast<f32>(pages[pages_score_word(c.page, c.slot)]);
}
fn set_candidate_score(c: Candidate, score: f32) {
  if (c.in_block) { chunk[chunk_score_word(c.page, c.slot)] = bitcast<u32>(score); }
  else { pages[pages_score_word(c.page, c.slot)] = bitcast<u32>(score); }
}
// Scales of its key and value; octets are to be multiplied by them.
fn candidate_scales(c: Candidate) -> vec2<f32> {
  if (c.in_block) { return chunk_scales(chunk_scale_word(c.page, c.slot)); }
  return pages_scales(pages_scale_word(c.page, c.slot));
}
fn candidate_key(c: Candidate, octet: u32) -> Octet {
  if (c.in_block) { return chunk_octet(chunk_key(c.page, c.slot) + octet * CHUNK_OCTET_UNITS); }
  return pages_octet(pages_key(c.page, c.slot) + octet * PAGES_OCTET_UNITS);
}
fn candidate_value(c: Candidate, octet: u32) -> Octet {
  if (c.in_block) { return chunk_octet(chunk_value(c.page, c.slot) + octet * CHUNK_OCTET_UNITS); }
  return pages_octet(pages_value(c.page, c.slot) + octet * PAGES_OCTET_UNITS);
}
