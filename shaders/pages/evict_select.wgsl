// Which slots of the cache and rows of the chunk survive: `capacity` of a kv head's candidates.
//
// The order is (protected, score, position), and the highest stay, so of equal scores the oldest goes first.
// A most-significant-digit radix select finds the least key that stays, without sorting: a histogram
// of 8 bits of the key a pass. Positions are looked at only if not all candidates with that key can stay.
// Survivors keep their slot; those without one (rows of the chunk, slots beyond a lowered capacity) get the
// free slots, both in index order. The moves are carried out by kv_move.
//
// One workgroup per kv head, of THREADS (16 or more): software adapters take long to compile workgroup memory.
// Needs lib/page_slots.wgsl for `pages` and `chunk`.
//: import lib/paging
//: import pages/lib/eviction
//: import pages/lib/ordered

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> eviction: Eviction;
@group(0) @binding(2) var<storage, read> pages: array<u32>;
@group(0) @binding(3) var<storage, read> chunk: array<u32>;
@group(0) @binding(4) var<storage, read_write> tables: array<u32>;
@group(0) @binding(5) var<storage, read> lanes: array<Lane>;
// A kv head's share: [n, then n times source, destination].
@group(0) @binding(6) var<storage, read_write> moves: array<u32>;

const SCANNED = THREADS / 16u; // threads whose numbers one adds up
const PROTECTED = 0xffffffffu;

var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> sums: array<u32, 16>;
var<workgroup> found: vec3<u32>;
var<workgroup> head: vec2<u32>; // count, capacity
var<workgroup> scan: array<vec2<u32>, THREADS>;
var<workgroup> scan_sums: array<vec2<u32>, 16>;

struct Candidate { key: u32, position: u32 }

// Candidates are the slots [0, count), then the rows of the chunk.
fn candidate(index: u32, count: u32, row: u32, kv_head: u32) -> Candidate {
  var position: u32;
  var score: u32;
  if (index < count) {
    let page = tables[page_entry(row, index)];
    position = pages[pages_position_word(page, index)];
    score = pages[pages_score_word(page, index)];
  } else {
    let r = index - count;
    let page = kv_head * shape.chunk_pages + r / PAGE_SLOTS;
    position = chunk[chunk_position_word(page, r)];
    score = chunk[chunk_score_word(page, r)];
  }
  let lane = lanes[eviction.lane];
  let recent = position > eviction.last || eviction.last - position < lane.window;
  let first = position < first_kept(lane, head.y);
  return Candidate(select(ordered_key(score), PROTECTED, recent || first), position);
}

// The wanted-th highest value, how many of those equal to it are wanted, and how many there are.
// Values are keys, or the positions of candidates whose key is `key`.
fn radix_select(
  thread: u32, total: u32, count: u32, row: u32, kv_head: u32, wanted: u32, by_position: bool, key: u32,
) -> vec3<u32> {
  var prefix = 0u;
  var mask = 0u;
  var result = vec3<u32>(0u, wanted, 0u);
  for (var step = 0u; step < 4u; step++) {
    let shift = 24u - 8u * step;
    for (var b = thread; b < 256u; b += THREADS) { atomicStore(&bins[b], 0u); }
    workgroupBarrier();
    for (var i = thread; i < total; i += THREADS) {
      let c = candidate(i, count, row, kv_head);
      let value = select(c.key, c.position, by_position);
      if ((value & mask) == prefix && (!by_position || c.key == key)) {
        atomicAdd(&bins[(value >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    if (thread < 16u) {
      var sum = 0u;
      for (var b = 16u * thread; b < 16u * thread + 16u; b++) { sum += atomicLoad(&bins[b]); }
      sums[thread] = sum;
    }
    workgroupBarrier();
    if (thread == 0u) {
      var rest = result.y;
      var group = 15u;
      while (group > 0u && sums[group] < rest) {
        rest -= sums[group];
        group--;
      }
      var bin = 16u * group + 15u;
      while (bin > 16u * group && atomicLoad(&bins[bin]) < rest) {
        rest -= atomicLoad(&bins[bin]);
        bin--;
      }
      found = vec3<u32>(bin, rest, atomicLoad(&bins[bin]));
    }
    result = workgroupUniformLoad(&found);
    prefix |= result.x << shift;
    mask |= 255u << shift;
  }
  return vec3<u32>(prefix, result.y, result.z);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let kv_head = group.x;
  let row = table_row(shape, eviction.lane, kv_head);
  if (thread == 0u) { head = vec2<u32>(tables[row], tables[row + 1u]); }
  let loaded = workgroupUniformLoad(&head);
  let count = loaded.x;
  let capacity = loaded.y;
  let total = count + eviction.rows;
  let kept = min(capacity, total);

  // A candidate stays if its key is above `key`, or equal and its position at least `since`.
  var key = 0u;
  var since = 0u;
  // Selects by key, then by position if not all of the least key can stay. One call, not two: compilers that inline
  // take as long as there are calls.
  var wanted = capacity;
  for (var turn = 0u; turn < 2u && total > wanted; turn++) {
    let least = radix_select(thread, total, count, row, kv_head, wanted, turn == 1u, key);
    if (turn == 1u) { since = least.x; } else { key = least.x; }
    wanted = select(total, least.y, least.z > least.y);
  }
  if (capacity == 0u) { key = PROTECTED; since = PROTECTED; }

  // Each thread takes a run of candidates, so that index order is thread order.
  let run = (total + THREADS - 1u) / THREADS;
  let begin = min(total, thread * run);
  let end = min(total, begin + run);
  let settled = min(count, capacity);
  var movers = 0u;
  var frees = 0u;
  for (var i = begin; i < end; i++) {
    let c = candidate(i, count, row, kv_head);
    let stays = c.key > key || (c.key == key && c.position >= since);
    movers += u32(stays && i >= settled);
    frees += u32(i < kept && !(stays && i < settled));
  }
  scan[thread] = vec2<u32>(movers, frees);
  workgroupBarrier();
  if (thread < 16u) {
    var sum = vec2<u32>(0u);
    for (var t = SCANNED * thread; t < SCANNED * thread + SCANNED; t++) {
      let own = scan[t];
      scan[t] = sum;
      sum += own;
    }
    scan_sums[thread] = sum;
  }
  workgroupBarrier();
  var before = scan[thread];
  var all = vec2<u32>(0u);
  for (var g = 0u; g < 16u; g++) {
    if (g < thread / SCANNED) { before += scan_sums[g]; }
    all += scan_sums[g];
  }

  let stride = arrayLength(&moves) / shape.kv_heads;
  let share = kv_head * stride;
  // movers = free slots, unless positions repeat or the buffer is too small: then the fewer.
  let n = min(min(all.x, all.y), (stride - 1u) / 2u);
  for (var i = begin; i < end; i++) {
    let c = candidate(i, count, row, kv_head);
    let stays = c.key > key || (c.key == key && c.position >= since);
    if (stays && i >= settled) {
      if (before.x < n) {
        moves[share + 1u + 2u * before.x] = select(CHUNK_SOURCE | (i - count), i, i < count);
      }
      before.x++;
    }
    if (i < kept && !(stays && i < settled)) {
      if (before.y < n) { moves[share + 2u + 2u * before.y] = i; }
      before.y++;
    }
  }
  if (thread == 0u) {
    moves[share] = n;
    tables[row] = kept;
  }
}
