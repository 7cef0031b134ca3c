// attention_decode for CPU adapters: 4 invocations a workgroup, each with its own run of slots. Same bindings,
// same workgroups (splits, G, M); of the splits every fourth workgroup works, with 4 partials.
// Needs: HEAD_DIM, PAGE_SLOTS, MAX_SPLITS, GROUP (H / G), LANES, PASSES (QUERIES * PASSES >= GROUP),
// lib/attend for `pages`, lib/remainder and lib/attend_remainder.
// Bytes and flops: those of attention_decode. No workgroup memory, no barrier.

const LOWEST = -3.0e38;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>; // [M, (H + 2G) D]
@group(0) @binding(3) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]

fn query(at: u32) -> vec4<f32> {
  return inverseSqrt(f32(HEAD_DIM)) * vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u]);
}

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
  let query_base = r * (shape.heads + 2u * shape.kv_heads) * HEAD_DIM;
  let length = (count + runs - 1u) / runs;
  let end = min(count, (run + 1u) * length);
  let remainder = remainder_of(shape, table);

  for (var pass_index = 0u; pass_index < PASSES; pass_index += 1u) {
    var state: State;
    //: for h
    let head$h = kv_head * GROUP + min(pass_index * QUERIES + $hu, GROUP - 1u);
    state.last[$h] = 0u;
    //: for o
    state.query[$hu * HEAD_DIM / 4u + $o.even] = query(query_base + head$h * HEAD_DIM + 8u * $ou);
    state.query[$hu * HEAD_DIM / 4u + $o.odd] = query(query_base + head$h * HEAD_DIM + 8u * $ou + 4u);
    //: end
    //: end
    begin_with_remainder(&state, remainder, select(0.0, remainder_count(remainder), run == 0u));
    for (var first = run * length; first < end; first += KEYS) {
      //: for n
      let slot$n = min(first + $nu, end - 1u);
      let place$n = pages_place(
        tables[table + 2u + slot$n / PAGE_SLOTS], slot$n, select(NO_ROW, 0u, first + $nu < end),
      );
      //: end
      attend_pages(&state, array<Place, KEYS>(
        //: for n
        place$n,
        //: end
      ));
    }

    //: for h
    {
      let out = ((r * shape.heads + head$h) * MAX_SPLITS + run) * (HEAD_DIM + 2u);
      partials[out] = state.highest[$h];
      partials[out + 1u] = state.sum[$h];
      //: for o
      //: for j
      partials[out + 2u + 8u * $ou + $ju] = state.acc[$hu * HEAD_DIM / 4u + $o.even][$j];
      partials[out + 6u + 8u * $ou + $ju] = state.acc[$hu * HEAD_DIM / 4u + $o.odd][$j];
      //: end
      //: end
    }
    //: end
  }
}
