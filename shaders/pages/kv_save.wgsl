// Notes what the append of one row will overwrite in each kv head, so that kv_restore can take it back.
// Needs: lib/page_slots for `pages`, lib/victim; WORKGROUP, RING as in kv_write; must run right before it.
// An entry of the log is [slot or NO_SLOT, the slot's PAGES_SLOT_WORDS, the head's remainder]; entry (l, g) is l G + g.
// Workgroups: (G). Bytes: at capacity C * 8 of positions and scores, then a slot read and written.
// Tested in model/chat/speculative.
//: import lib/paging
//: import pages/lib/slot_words

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>; // the row in question is the first
@group(0) @binding(2) var<storage, read> pages: array<u32>;
@group(0) @binding(3) var<storage, read> tables: array<u32>;
@group(0) @binding(4) var<storage, read> lanes: array<Lane>;
@group(0) @binding(5) var<storage, read_write> log: array<u32>;

var<workgroup> sh_full: u32;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let row = rows[0];
  let table = table_row(shape, row.lane, group.x);
  let count = tables[table];
  let capacity = tables[table + 1u];
  if (t == 0u) { sh_full = u32(count >= capacity); }
  var slot = NO_SLOT;
  if (workgroupUniformLoad(&sh_full) == 1u) {
    if (RING) { slot = row.position % capacity; }
    else { slot = find_victim(t, table, count, lanes[row.lane], row.position); }
  }
  let entry = (shape.layer * shape.kv_heads + group.x) * (1u + PAGES_SLOT_WORDS + REMAINDER_WORDS);
  if (t == 0u) { log[entry] = slot; }
  if (slot == NO_SLOT) { return; }
  let page = tables[page_entry(table, slot)];
  for (var i = t; i < PAGES_SLOT_WORDS; i += WORKGROUP) { log[entry + 1u + i] = pages[slot_word(page, slot, i)]; }
  let remainder = remainder_of(shape, table);
  let after = entry + 1u + PAGES_SLOT_WORDS;
  for (var i = t; i < REMAINDER_WORDS; i += WORKGROUP) { log[after + i] = tables[remainder + i]; }
}
