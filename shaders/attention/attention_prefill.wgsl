// Causal attention of a prompt chunk over the lane's cache and over the prompt block it lies in, itself
// included (flash attention), its keys divided among the invocations of a workgroup.
// Needs: HEAD_DIM, PAGE_SLOTS, lib/pages_STORAGE.wgsl for `pages` and `chunk` (read units), GROUP, WORKGROUP, QUERIES (a
// workgroup's), and WINDOW: 0, or the number of tokens a row sees, itself included; the cache is then a ring of WINDOW
// slots. Loops written out by unroll: h < QUERIES, s < queries whose softmax an invocation keeps, j < 4.
// Workgroups: (ceil(M GROUP / QUERIES), G). A part of the workgroup is COLUMNS = D / 8 invocations that take one key at
// a time, 8 dimensions each, for all QUERIES (row, query head) pairs: their products are added up through workgroup
// memory, where invocation c of the part keeps query c's online softmax; part p takes keys p, p + PARTS, ... and the
// parts are joined at the end, query by query.
// Every cached pair is in the past of every row of the block; inside the block, row b sees rows <= b. Rows of a
// chunk follow one another: row r of the chunk is row rows[0].block_row + r of the block.
// Bytes: a key and a value (4 D in f16) a kv head and QUERIES queries, from the second level of cache; flops: 4 D a
// (query, key), so 8 a byte in f16 at 8 queries. Of 100 instructions about 60 multiply and add, 13 unpack, the rest is
// softmax and exchange (34 words of workgroup memory per invocation and key).
// At M 128, 3 query heads per kv head and G 3: 144 workgroups of 8 subgroups of 32. Registers: 64 f32 of queries and 64 of
// sums per invocation whatever D is, about 190 in all: one workgroup per core of 64 K registers, whose subgroups wait for
// their loads together; two barriers a PARTS keys (32 at D 64).
// Workgroup memory: 4 QUERIES (WORKGROUP + 1 + 2 PARTS) bytes: 10 KiB at D 64, 12.1 KiB at most (D 32).
//: import lib/paging
//: import lib/remainder
//: import lib/batch

const COLUMNS = HEAD_DIM / 8u;
const PARTS = WORKGROUP / COLUMNS; // invocations left over hold none
const PITCH = WORKGROUP + 1u; // odd, so that the invocations of a part read different banks
// A query's weights are relative to a logit that is raised only when one exceeds it by so much: sums are seldom rescaled.
const SLACK = 4.0;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D]
@group(0) @binding(4) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(5) var<storage, read> chunk: array<chunk_unit>;
@group(0) @binding(6) var<storage, read> tables: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>; // [M, H, D]
@group(0) @binding(8) var<storage, read_write> lse: array<f32>; // [M, H]: ln of the sum of exp(logit), for `observe`

var<workgroup> sh_dot: array<f32, QUERIES * PITCH>; // partial products [QUERIES, WORKGROUP]; in the end sums of V
var<workgroup> sh_weight: array<f32, QUERIES * PARTS>; // of a part's key for each query; in the end the parts' share
var<workgroup> sh_rescale: array<f32, QUERIES * PARTS>; // of its sums so far; in the end their reference, then weights' sum

// An invocation keeps 8 dimensions of all queries and of their sums, and the softmax of some queries of its part.
struct State {
  //: for h
  query$h_low: vec4<f32>,
  query$h_high: vec4<f32>,
  acc$h_low: vec4<f32>,
  acc$h_high: vec4<f32>,
  //: end
  //: for s
  row$s: u32, // of the block
  reference$s: f32,
  sum$s: f32,
  //: end
}

// `bias` is added to its logit.
struct Key { key: Octet, value: Octet, scales: vec2<f32>, bias: f32 }

// Tokens between slot `slot` of a ring and row 0 of the block: it holds the newest position that is `slot`
// modulo WINDOW.
fn ring_age(slot: u32) -> u32 {
  return (rows[0].position - rows[0].block_row - 1u - slot) % max(WINDOW, 1u);
}

// Whether block row r sees slot or block row `key`.
fn sees(r: u32, key: u32, cached: bool) -> bool {
  if (cached) { return WINDOW == 0u || r + 1u + ring_age(key) < WINDOW; }
  return key <= r && (WINDOW == 0u || r - key < WINDOW);
}

// Attends to one key a part: slot or block row `at`, of which there are `count`. All invocations must call it.
fn attend(state: ptr<function, State>, t: u32, k: Key, at: u32, count: u32, cached: bool) {
  let part = t / COLUMNS;
  let column = t % COLUMNS;
  //: for h
  sh_dot[$hu * PITCH + t] = dot((*state).query$h_low, k.key.low) + dot((*state).query$h_high, k.key.high);
  //: end
  workgroupBarrier();
  //: for s
  {
    let q = column + $su * COLUMNS;
    if (q < QUERIES && part < PARTS) {
      var logit = 0.0;
      for (var c = 0u; c < COLUMNS; c += 1u) { logit += sh_dot[q * PITCH + part * COLUMNS + c]; }
      logit = logit * k.scales.x + k.bias;
      let visible = at < count && sees((*state).row$s, at, cached);
      let before = (*state).reference$s;
      let reference = select(before, logit, visible && logit > before + SLACK);
      let rescale = exp(before - reference);
      let weight = select(0.0, exp(logit - reference), visible);
      (*state).reference$s = reference;
      (*state).sum$s = (*state).sum$s * rescale + weight;
      sh_rescale[part * QUERIES + q] = rescale;
      sh_weight[part * QUERIES + q] = weight * k.scales.y;
    }
  }
  //: end
  workgroupBarrier();
  if (part < PARTS) {
    let first = part * QUERIES;
    var least = 1.0;
    //: for h
    let rescale$h = sh_rescale[first + $hu];
    least = min(least, rescale$h);
    //: end
    if (least < 1.0) {
      //: for h
      (*state).acc$h_low *= rescale$h;
      (*state).acc$h_high *= rescale$h;
      //: end
    }
    //: for h
    {
      let weight = vec4<f32>(sh_weight[first + $hu]);
      (*state).acc$h_low = fma(weight, k.value.low, (*state).acc$h_low);
      (*state).acc$h_high = fma(weight, k.value.high, (*state).acc$h_high);
    }
    //: end
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let kv_head = group.y;
  let part = t / COLUMNS;
  let column = t % COLUMNS;
  let pairs = batch.rows * GROUP;
  let first = group.x * QUERIES;
  let block_row = rows[0].block_row;
  let table = table_row(shape, rows[0].lane, kv_head);
  let count = tables[table];
  let scale = inverseSqrt(f32(HEAD_DIM));

  var state: State;
  //: for h
  {
    let index = min(first + $hu, pairs - 1u);
    let head = index / GROUP * (shape.heads + 2u * shape.kv_heads) + kv_head * GROUP + index % GROUP;
    state.query$h_low = scale * qkv[head * (HEAD_DIM / 4u) + 2u * column];
    state.query$h_high = scale * qkv[head * (HEAD_DIM / 4u) + 2u * column + 1u];
  }
  //: end
  //: for s
  state.row$s = block_row + min(first + column + $su * COLUMNS, pairs - 1u) / GROUP;
  state.reference$s = LOWEST;
  //: end

  // The remainder, as one more pair, is part 0's. Rings drop nothing that a row should see.
  let remainder = remainder_of(shape, table);
  let dropped = remainder_count(remainder);
  if (WINDOW == 0u && dropped > 0.0) {
    let means = vec2<f32>(1.0 / dropped);
    let k = Key(
      remainder_keys(remainder, column), remainder_values(remainder, column), means, remainder_logit(0.0, dropped),
    );
    attend(&state, t, k, part, 1u, true);
  }

  for (var start = 0u; start < count; start += PARTS) {
    let slot = start + part;
    let there = min(slot, count - 1u);
    let page = tables[page_entry(table, there)];
    let at = column * PAGES_OCTET_UNITS;
    let k = Key(
      pages_octet(pages_key(page, there) + at),
      pages_octet(pages_value(page, there) + at),
      pages_scales(pages_scale_word(page, there)),
      0.0,
    );
    attend(&state, t, k, slot, count, true);
  }

  // Rows of the block that this workgroup's last query sees.
  let end = block_row + min(first + QUERIES - 1u, pairs - 1u) / GROUP + 1u;
  for (var start = 0u; start < end; start += PARTS) {
    let row = start + part;
    let there = min(row, end - 1u);
    let page = kv_head * shape.chunk_pages + there / PAGE_SLOTS;
    let at = column * CHUNK_OCTET_UNITS;
    let k = Key(
      chunk_octet(chunk_key(page, there) + at),
      chunk_octet(chunk_value(page, there) + at),
      chunk_scales(chunk_scale_word(page, there)),
      0.0,
    );
    attend(&state, t, k, row, end, false);
  }

  // Join the parts: each one's share is e^(its reference - the highest) / the sum of all weights.
  workgroupBarrier();
  //: for s
  {
    let q = column + $su * COLUMNS;
    if (q < QUERIES && part < PARTS) {
      sh_rescale[part * QUERIES + q] = state.reference$s;
      sh_weight[part * QUERIES + q] = state.sum$s;
    }
  }
  //: end
  workgroupBarrier();
  var highest = LOWEST;
  var sum = 0.0;
  let own = t % QUERIES;
  for (var p = 0u; p < PARTS; p += 1u) { highest = max(highest, sh_rescale[p * QUERIES + own]); }
  for (var p = 0u; p < PARTS; p += 1u) {
    sum += exp(sh_rescale[p * QUERIES + own] - highest) * sh_weight[p * QUERIES + own];
  }
  if (t < QUERIES && first + t < pairs) {
    let index = first + t;
    lse[index / GROUP * shape.heads + kv_head * GROUP + index % GROUP] = highest + log(sum);
  }
  workgroupBarrier();
  for (var p = t / QUERIES; p < PARTS; p += WORKGROUP / QUERIES) {
    sh_weight[p * QUERIES + own] = exp(sh_rescale[p * QUERIES + own] - highest) / sum;
  }
  //: for h
  workgroupBarrier();
  if (part < PARTS) {
    let share = sh_weight[part * QUERIES + $hu];
    let at = part * HEAD_DIM + 8u * column;
    //: for j
    sh_dot[at + $ju] = share * state.acc$h_low[$j];
    sh_dot[at + 4u + $ju] = share * state.acc$h_high[$j];
    //: end
  }
  workgroupBarrier();
  if (first + $hu < pairs) {
    let index = first + $hu;
    let head = index / GROUP * shape.heads + kv_head * GROUP + index % GROUP;
    for (var d = t; d < HEAD_DIM; d += WORKGROUP) {
      var total = 0.0;
      for (var p = 0u; p < PARTS; p += 1u) { total += sh_dot[p * HEAD_DIM + d]; }
      out[head * HEAD_DIM + d] = total;
    }
  }
  //: end
}
