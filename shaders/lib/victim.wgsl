// Which pair of a kv head is evicted for the next token. Needs lib/paging.wgsl, lib/page_slots.wgsl for `pages`; tables; WORKGROUP (a
// power of two): every invocation must call it.

const NO_SLOT = 0xffffffffu;

var<workgroup> victim_score: array<f32, WORKGROUP>;
var<workgroup> victim_position: array<u32, WORKGROUP>;
var<workgroup> victim_slot: array<u32, WORKGROUP>;

// The slot with the lowest (score, position) outside sinks and window.
fn find_victim(t: u32, table: u32, count: u32, lane: Lane, position: u32) -> u32 {
  var best_score = 0.0;
  var best_position = NO_SLOT;
  var best_slot = NO_SLOT;
  for (var slot = t; slot < count; slot += WORKGROUP) {
    let page = tables[table + 2u + slot / PAGE_SLOTS];
    let p = pages[pages_position_word(page, slot)];
    if (p < lane.sinks || position - p < lane.window) { continue; }
    let s = bitcast<f32>(pages[pages_score_word(page, slot)]);
    if (best_slot == NO_SLOT || s < best_score || (s == best_score && p < best_position)) {
      best_score = s;
      best_position = p;
      best_slot = slot;
    }
  }
  victim_score[t] = best_score;
  victim_position[t] = best_position;
  victim_slot[t] = best_slot;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (t < stride && victim_slot[t + stride] != NO_SLOT) {
      let s = victim_score[t + stride];
      let p = victim_position[t + stride];
      if (victim_slot[t] == NO_SLOT || s < victim_score[t] || (s == victim_score[t] && p < victim_position[t])) {
        victim_score[t] = s;
        victim_position[t] = p;
        victim_slot[t] = victim_slot[t + stride];
      }
    }
  }
  workgroupBarrier();
  return victim_slot[0];
}
