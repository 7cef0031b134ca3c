// attention_decode for CPU adapters: 4 invocations per workgroup, each with its own run of slots. Same bindings,
// same workgroups (splits, G, M); of the splits every fourth workgroup works, with 4 partials.
// Needs: HEAD_DIM, PAGE_SLOTS, MAX_SPLITS, GROUP (H / G), LANES, PASSES (QUERIES * PASSES >= GROUP),
// lib/attend for `pages`, lib/remainder and lib/attend_remainder.
// Bytes and flops: those of attention_decode. No workgroup memory, no barrier.
// Tested in kernels/attention/attention-decode.
//: import lib/paging


@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> qkv: array<vec4<f32>>; // [M, (H + 2G) D]
@group(0) @binding(3) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let runs = (groups.x + LANES - 1u) / LANES * LANES;
  let run = group.x * LANES + t;
  if (run >= runs) { return; }
  let kv_head = group.y;
  let r = group.z;
  let table = table_row(shape, rows[r].lane, kv_head);
  let count = tables[table];
  let query_base = r * (shape.heads + 2u * shape.kv_heads) * (HEAD_DIM / 4u);
  let length = (count + runs - 1u) / runs;
  let end = min(count, (run + 1u) * length);
  let remainder = remainder_of(shape, table);
  let scale = inverseSqrt(f32(HEAD_DIM));

  for (var pass_index = 0u; pass_index < PASSES; pass_index += 1u) {
    var state: State;
    state.lane = 0u;
    //: for h
    let head$h = kv_head * GROUP + min(pass_index * QUERIES + $hu, GROUP - 1u);
    let query$h = query_base + head$h * (HEAD_DIM / 4u);
    state.last[$h] = 0u;
    state.highest[$h] = LOWEST;
    // Set to 0 in words: some adapters keep what a loop's last round left.
    state.sum[$h] = 0.0;
    //: for g
    let octet$h_$g = query$h + 2u * $gu;
    state.query[$hu * OCTETS_A_VECTOR + $g] = Octet(scale * qkv[octet$h_$g], scale * qkv[octet$h_$g + 1u]);
    state.acc[$hu * OCTETS_A_VECTOR + $g] = Octet();
    //: end
    //: end
    for (var first = run * length; first < end; first += KEYS) {
      //: for n
      let slot$n = min(first + $nu, end - 1u);
      let place$n = pages_place(
        tables[page_entry(table, slot$n)], slot$n, select(NO_ROW, 0u, first + $nu < end),
      );
      //: end
      attend_pages(&state, array<Place, KEYS>(
        //: for n
        place$n,
        //: end
      ));
    }

    let dropped = select(0.0, remainder_count(remainder), run == 0u);
    let logits = remainder_logits(array<u32, QUERIES>(
      //: for h
      query$h,
      //: end
    ), remainder, dropped);
    //: for h
    let out$h = ((r * shape.heads + head$h) * MAX_SPLITS + run) * (HEAD_DIM + 2u);
    let joined$h = join_remainder(state.highest[$h], logits[$h]);
    partials[out$h] = joined$h.highest;
    partials[out$h + 1u] = joined$h.own * state.sum[$h] + joined$h.rest;
    //: for g
    //: for j
    partials[out$h + 2u + 8u * $gu + $ju] = joined$h.own * state.acc[$hu * OCTETS_A_VECTOR + $g].low[$j];
    partials[out$h + 6u + 8u * $gu + $ju] = joined$h.own * state.acc[$hu * OCTETS_A_VECTOR + $g].high[$j];
    //: end
    //: end
    //: end
    for (var d = 0u; d < select(0u, HEAD_DIM, dropped > 0.0); d += 1u) {
      let value = remainder_value(remainder, d) / dropped;
      //: for h
      // Beyond the group is its last head once more.
      if (pass_index * QUERIES + $hu < GROUP) { partials[out$h + 2u + d] += joined$h.rest * value; }
      //: end
    }
  }
}
