// How many keys and values of one layer and lane lie at the end of f16's range, where lib/pages_f16 cuts what is
// larger: adds to `cut`. Nothing of it is in the way of writing: it reads what a decode step reads, once a prompt.
//
// Grid: (workgroups that share the words, G). Needs lib/page_slots.wgsl for `pages` (f16).
// Tested in model/cache/large-keys.
//: import lib/paging

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> lane: vec4<u32>; // .x; the rest is not looked at
@group(0) @binding(2) var<storage, read> tables: array<u32>;
@group(0) @binding(3) var<storage, read> pages: array<u32>;
@group(0) @binding(4) var<storage, read_write> cut: array<atomic<u32>, 1>;

const THREADS = 64u;
const LARGEST = 0x7bffu; // 65,504

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = table_row(shape, lane.x, group.y);
  let words = tables[row] * PAGES_VECTOR_WORDS;
  var found = 0u;
  for (var i = group.x * THREADS + thread; i < words; i += groups.x * THREADS) {
    let slot = i / PAGES_VECTOR_WORDS;
    let page = tables[page_entry(row, slot)];
    let at = pages_key_word(page, slot) + i % PAGES_VECTOR_WORDS;
    let pairs = vec2<u32>(pages[at], pages[at + PAGE_SLOTS * PAGES_VECTOR_WORDS]);
    let low = (pairs & vec2<u32>(0x7fffu)) == vec2<u32>(LARGEST);
    let high = ((pairs >> vec2<u32>(16u)) & vec2<u32>(0x7fffu)) == vec2<u32>(LARGEST);
    found += u32(low.x) + u32(low.y) + u32(high.x) + u32(high.y);
  }
  if (found > 0u) { atomicAdd(&cut[0], found); }
}
