// attention_prefill for CPU adapters: QUERIES (row, query head) pairs of a kv head an invocation, keys KEYS
// at a time. Needs: HEAD_DIM, PAGE_SLOTS, GROUP, QUERIES, KEYS, LANES, WINDOW as in attention_prefill,
// lib/attend for `pages` and `chunk`, lib/remainder and lib/attend_remainder. Without `cached` (a count of unroll, 1 or 0) the
// cache is empty, and neither is needed for it: a seventh of the time to compile, before a first token.
// Workgroups: (ceil(M GROUP / (LANES QUERIES)), G). Bytes: a key and a value (4 D in f16) for QUERIES queries; no workgroup memory.
// Tested in kernels/attention/attention-prefill.
//: import lib/paging
//: import lib/batch


@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<uniform> batch: Batch;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D]
@group(0) @binding(5) var<storage, read> chunk: array<chunk_unit>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4<f32>>; // [M, H, D]
@group(0) @binding(8) var<storage, read_write> lse: array<f32>; // [M, H]: ln of the sum of exp(logit), for `observe`

//: for cached
@group(0) @binding(4) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(6) var<storage, read> tables: array<u32>;

// See Place: with a WINDOW the cache is a ring, slot s the newest position that is s modulo WINDOW.
fn cached_row(slot: u32) -> u32 {
  if (WINDOW > 0u) { return ~((rows[0].position - rows[0].block_row - 1u - slot) % max(WINDOW, 1u)); }
  return 0u;
}
//: end

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, invocation: Invocation) {
  let kv_head = group.y;
  let pairs = batch.rows * GROUP;
  let first = (group.x * LANES + invocation.index) * QUERIES;
  let scale = inverseSqrt(f32(HEAD_DIM));
  let block_row = rows[0].block_row;
  var state: State;
  state.lane = lane_of(invocation);
  //: for h
  let index$h = min(first + $hu, pairs - 1u);
  let query_row$h = index$h / GROUP;
  let head$h = kv_head * GROUP + index$h % GROUP;
  state.last[$hu] = block_row + query_row$h;
  state.highest[$hu] = LOWEST;
  let query$h = (query_row$h * (shape.heads + 2u * shape.kv_heads) + head$h) * (HEAD_DIM / 4u);
  //: for g
  //: for r
  let octet$h_$g_$r = query$h + 2u * (SHARE * $gu + ($ru ^ state.lane));
  state.query[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru] = Octet(scale * qkv[octet$h_$g_$r], scale * qkv[octet$h_$g_$r + 1u]);
  //: end
  //: end
  //: end

  //: for cached
  let table = table_row(shape, rows[0].lane, kv_head);
  let count = tables[table];
  for (var slot = 0u; slot < count; slot += KEYS) {
    //: for n
    let slot$n = min(slot + $nu, count - 1u);
    let place$n = pages_place(
      tables[page_entry(table, slot$n)], slot$n, select(NO_ROW, cached_row(slot$n), slot + $nu < count),
    );
    //: end
    attend_pages(&state, array<Place, KEYS>(
      //: for n
      place$n,
      //: end
    ));
  }
  //: end
  // Goes as far as the last lane of a quad sees, since its lanes load for each other.
  let end = most(block_row + min(first + QUERIES - 1u, pairs - 1u) / GROUP);
  for (var row = 0u; row <= end; row += KEYS) {
    //: for n
    let row$n = min(row + $nu, end);
    let place$n = chunk_place(kv_head * shape.chunk_pages + row$n / PAGE_SLOTS, row$n, row + $nu);
    //: end
    attend_chunk(&state, array<Place, KEYS>(
      //: for n
      place$n,
      //: end
    ));
  }

  //: for cached
  let remainder = remainder_of(shape, table);
  let dropped = remainder_count(remainder);
  let logits = remainder_logits(array<u32, QUERIES>(
    //: for h
    query$h,
    //: end
  ), remainder, dropped);
  //: end
  //: for h
  let at$h = (query_row$h * shape.heads + head$h) * (HEAD_DIM / 4u);
  var joined$h = Joined(state.highest[$hu], 1.0, 0.0);
  //: for cached
  joined$h = join_remainder(state.highest[$hu], logits[$h]);
  //: end
  let sum$h = joined$h.own * state.sum[$hu] + joined$h.rest;
  if (first + $hu < pairs) {
    let part = joined$h.own / sum$h;
    lse[query_row$h * shape.heads + head$h] = joined$h.highest + log(sum$h);
    //: for g
    //: for r
    let to$g_$r = at$h + 2u * (SHARE * $gu + ($ru ^ state.lane));
    out[to$g_$r] = part * state.acc[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru].low;
    out[to$g_$r + 1u] = part * state.acc[$hu * OCTETS_A_VECTOR + SHARE * $gu + $ru].high;
    //: end
    //: end
  }
  //: end
  //: for cached
  for (var o = 0u; o < select(0u, HEAD_DIM / 8u, dropped > 0.0); o += 1u) {
    let values = remainder_values(remainder, o);
    //: for h
    if (first + $hu < pairs) {
      let part = joined$h.rest / (sum$h * dropped);
      out[at$h + 2u * o] += part * values.low;
      out[at$h + 2u * o + 1u] += part * values.high;
    }
    //: end
  }
  //: end
}
