// Which pair of a kv head is evicted for the next token. Needs lib/page_slots.wgsl for `pages`; tables; WORKGROUP (a
// power of two): every invocation must call it; SLOTS: how many slots an invocation looks at at once (n < SLOTS, written
// out by unroll).
// Bytes: C * 8 of positions and scores. On a GPU latency is what counts: of SLOTS slots first the pages, then the positions
// and scores are on their way together, so that 256 invocations wait for two loads every 256 SLOTS slots.
//: import lib/paging

const NO_SLOT = 0xffffffffu;

var<workgroup> victim_score: array<f32, WORKGROUP>;
var<workgroup> victim_position: array<u32, WORKGROUP>;
var<workgroup> victim_slot: array<u32, WORKGROUP>;

// The slot with the lowest (score, position) outside window and first tokens, of a head whose `count` slots are all it may hold.
fn find_victim(t: u32, table: u32, count: u32, lane: Lane, position: u32) -> u32 {
  let first_free = first_kept(lane, count);
  var best_score = 0.0;
  var best_position = NO_SLOT;
  var best_slot = NO_SLOT;
  for (var first = t; first < count; first += SLOTS * WORKGROUP) {
    // Past the end the last slot is looked at again.
    //: for n
    let slot$n = min(first + $nu * WORKGROUP, count - 1u);
    let page$n = tables[page_entry(table, slot$n)];
    //: end
    //: for n
    let p$n = pages[pages_position_word(page$n, slot$n)];
    let protected$n = p$n < first_free || position - p$n < lane.window;
    //: end
    // Alone, a score that is not needed is not worth its load.
    if (SLOTS == 1u && protected0) { continue; }
    //: for n
    let s$n = bitcast<f32>(pages[pages_score_word(page$n, slot$n)]);
    //: end
    //: for n
    if (!protected$n && (best_slot == NO_SLOT || s$n < best_score || (s$n == best_score && p$n < best_position))) {
      best_score = s$n;
      best_position = p$n;
      best_slot = slot$n;
    }
    //: end
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
