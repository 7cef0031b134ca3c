// Takes appends back, the newest first: puts what kv_save noted into slots and remainders again. Page tables are not read
// for counts, which are the host's to set: where a row had a free slot there is nothing else to do.
// Needs: lib/page_slots for `pages`; LOG_STRIDE (words of the log a row), WORKGROUP.
// Workgroups: (G). Bytes: a slot per row, read and written.
// Tested in model/chat/speculative.
//: import lib/paging
//: import pages/lib/slot_words

const NO_SLOT = 0xffffffffu;

// Rows first to rows - 1 of the log are taken back.
struct Taken { lane: u32, first: u32, rows: u32, pad: u32 }

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> taken: Taken;
@group(0) @binding(2) var<storage, read_write> tables: array<u32>;
@group(0) @binding(3) var<storage, read> log: array<u32>;
@group(0) @binding(4) var<storage, read_write> pages: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let table = table_row(shape, taken.lane, group.x);
  for (var r = taken.rows; r > taken.first; r -= 1u) {
    let head = shape.layer * shape.kv_heads + group.x;
    let entry = (r - 1u) * LOG_STRIDE + head * (1u + PAGES_SLOT_WORDS + REMAINDER_WORDS);
    let slot = log[entry];
    if (slot == NO_SLOT) { continue; }
    let page = tables[page_entry(table, slot)];
    // A word is always the same invocation's: two rows may have taken one slot in turn.
    for (var i = t; i < PAGES_SLOT_WORDS; i += WORKGROUP) { pages[slot_word(page, slot, i)] = log[entry + 1u + i]; }
    let remainder = remainder_of(shape, table);
    let after = entry + 1u + PAGES_SLOT_WORDS;
    for (var i = t; i < REMAINDER_WORDS; i += WORKGROUP) { tables[remainder + i] = log[after + i]; }
  }
}
