// Attention of single query rows over a lane's paged cache, split over keys (flash decoding).
// Needs: HEAD_DIM, PAGE_SLOTS, lib/pages_STORAGE.wgsl for `pages` (read units), GROUP (H / G), MAX_SPLITS, OCTETS (runs of 8 dimensions a thread),
// KEYS (keys a thread and tile); loops written out by unroll: h < GROUP, o < OCTETS, n < KEYS.
// Workgroups: (splits, G, M), 64 threads. COLUMNS threads share a key, each with its OCTETS * 8 dimensions of
// the GROUP queries and of their sums in registers, so K and V are read once, coalesced, for all GROUP heads.
// A tile is PARTS * KEYS slots: partial dot products are added up through workgroup memory, then every part
// (COLUMNS threads) goes on with an online softmax of its own; parts are joined once, at the end. Split s takes
// tiles s, s + splits, ... and leaves (max, sum, acc[D]) a head for attention_combine. Slots need no order: all
// of them are in the past.
// Bytes: a key and a value per slot and kv head (4 D in f16), each read once. Flops: 4 D GROUP per slot. Two barriers per tile.
// Workgroup memory: 256 max(KEYS GROUP, 8) + 4 PARTS GROUP (KEYS + 1) bytes (4 KiB at D 64, GROUP 3; at most
// 10 KiB). Registers: 16 OCTETS GROUP f32 of queries and sums (96 at GROUP 3, 128 at most), about as many again.
//: import lib/paging
//: import lib/remainder

const WORKGROUP = 64u;
const COLUMNS = HEAD_DIM / (8u * OCTETS);
const PARTS = WORKGROUP / COLUMNS;
const TILE = PARTS * KEYS;

@group(0) @binding(0) var<uniform> shape: LayerShape;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>; // [M, (H + 2G) D]
@group(0) @binding(3) var<storage, read> pages: array<pages_unit>;
@group(0) @binding(4) var<storage, read> tables: array<u32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>; // [M, H, MAX_SPLITS, D + 2]

var<workgroup> sh_dot: array<f32, max(KEYS * GROUP, 8u) * WORKGROUP>; // partial products, then sums of V
var<workgroup> sh_logit: array<f32, KEYS * GROUP * PARTS>;
var<workgroup> sh_sum: array<f32, GROUP * PARTS>;

fn query(at: u32) -> vec4<f32> {
  return inverseSqrt(f32(HEAD_DIM)) * vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u]);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let kv_head = group.y;
  let r = group.z;
  let table = table_row(shape, rows[r].lane, kv_head);
  let count = tables[table];
  let part = t / COLUMNS; // PARTS and above: threads left over
  let octet = (t % COLUMNS) * OCTETS;
  let first = r * (shape.heads + 2u * shape.kv_heads) * HEAD_DIM + kv_head * GROUP * HEAD_DIM + octet * 8u;
  //: for h
  var max$h = LOWEST;
  var sum$h = 0.0;
  //: for o
  let q$h_$o_low = query(first + $hu * HEAD_DIM + $ou * 8u);
  let q$h_$o_high = query(first + $hu * HEAD_DIM + $ou * 8u + 4u);
  var acc$h_$o_low = vec4<f32>();
  var acc$h_$o_high = vec4<f32>();
  //: end
  //: end

  // The remainder, as one more pair, is split 0's part 0's.
  let remainder = remainder_of(shape, table);
  let dropped = remainder_count(remainder);
  if (group.x == 0u && dropped > 0.0) {
    //: for o
    let keys$o = remainder_keys(remainder, octet + $ou);
    //: end
    //: for h
    sh_dot[$hu * WORKGROUP + t] = 0.0
    //: for o
      + dot(q$h_$o_low, keys$o.low) + dot(q$h_$o_high, keys$o.high)
    //: end
    ;
    //: end
    workgroupBarrier();
    if (part == 0u) {
      //: for h
      {
        var dot_sum = 0.0;
        for (var c = 0u; c < COLUMNS; c += 1u) { dot_sum += sh_dot[$hu * WORKGROUP + c]; }
        max$h = remainder_logit(dot_sum, dropped);
        sum$h = 1.0;
      }
      //: end
      //: for o
      let values$o = remainder_values(remainder, octet + $ou);
      //: for h
      acc$h_$o_low = values$o.low / dropped;
      acc$h_$o_high = values$o.high / dropped;
      //: end
      //: end
    }
    workgroupBarrier();
  }

  let tiles = (count + TILE - 1u) / TILE;
  for (var tile = group.x; tile < tiles; tile += groups.x) {
    //: for n
    let wanted$n = tile * TILE + $nu * PARTS + part;
    let slot$n = min(wanted$n, count - 1u);
    let page$n = tables[page_entry(table, slot$n)];
    let scales$n = pages_scales(pages_scale_word(page$n, slot$n));
    {
      let key = pages_key(page$n, slot$n) + octet * PAGES_OCTET_UNITS;
      //: for o
      let k$o = pages_octet(key + $ou * PAGES_OCTET_UNITS);
      //: end
      //: for h
      var dot$h = 0.0;
      //: for o
      dot$h += dot(q$h_$o_low, k$o.low) + dot(q$h_$o_high, k$o.high);
      //: end
      sh_dot[($nu * GROUP + $hu) * WORKGROUP + t] = scales$n.x * dot$h;
      //: end
    }
    //: end
    workgroupBarrier();
    if (part < PARTS) {
      for (var i = t % COLUMNS; i < KEYS * GROUP; i += COLUMNS) {
        var logit = 0.0;
        for (var c = 0u; c < COLUMNS; c += 1u) { logit += sh_dot[i * WORKGROUP + part * COLUMNS + c]; }
        sh_logit[i * PARTS + part] = logit;
      }
    }
    workgroupBarrier();
    //: for h
    var highest$h = max$h;
    //: for n
    let logit$h_$n = select(LOWEST, sh_logit[($nu * GROUP + $hu) * PARTS + part], wanted$n < count);
    highest$h = max(highest$h, logit$h_$n);
    //: end
    let rescale$h = exp(max$h - highest$h);
    max$h = highest$h;
    sum$h *= rescale$h;
    //: for o
    acc$h_$o_low *= rescale$h;
    acc$h_$o_high *= rescale$h;
    //: end
    //: for n
    let weight$h_$n = select(0.0, exp(logit$h_$n - highest$h), wanted$n < count);
    sum$h += weight$h_$n;
    //: end
    //: end
    //: for n
    {
      let value = pages_value(page$n, slot$n) + octet * PAGES_OCTET_UNITS;
      //: for h
      let share$h = weight$h_$n * scales$n.y;
      //: end
      //: for o
      let v$o = pages_octet(value + $ou * PAGES_OCTET_UNITS);
      //: for h
      acc$h_$o_low += share$h * v$o.low;
      acc$h_$o_high += share$h * v$o.high;
      //: end
      //: end
    }
    //: end
  }

  // Join the parts. sh_logit may still be read for the last tile.
  workgroupBarrier();
  if (t % COLUMNS == 0u && part < PARTS) {
    //: for h
    sh_logit[$hu * PARTS + part] = max$h;
    sh_sum[$hu * PARTS + part] = sum$h;
    //: end
  }
  workgroupBarrier();
  let out = ((r * shape.heads + kv_head * GROUP) * MAX_SPLITS + group.x) * (HEAD_DIM + 2u);
  //: for h
  {
    let head_out = out + $hu * MAX_SPLITS * (HEAD_DIM + 2u);
    var highest = LOWEST;
    for (var p = 0u; p < PARTS; p += 1u) { highest = max(highest, sh_logit[$hu * PARTS + p]); }
    let rescale = exp(max$h - highest);
    //: for o
    {
      let column = (part * COLUMNS + t % COLUMNS) * 8u;
      if (part < PARTS) {
        //: for j
        sh_dot[column + $ju] = rescale * acc$h_$o_low[$j];
        sh_dot[column + 4u + $ju] = rescale * acc$h_$o_high[$j];
        //: end
      }
      workgroupBarrier();
      for (var i = t; i < COLUMNS * 8u; i += WORKGROUP) {
        var total = 0.0;
        for (var p = 0u; p < PARTS; p += 1u) { total += sh_dot[p * COLUMNS * 8u + i]; }
        partials[head_out + 2u + (i / 8u * OCTETS + $ou) * 8u + i % 8u] = total;
      }
      workgroupBarrier();
    }
    //: end
    if (t == 0u) {
      var total = 0.0;
      for (var p = 0u; p < PARTS; p += 1u) {
        total += exp(sh_logit[$hu * PARTS + p] - highest) * sh_sum[$hu * PARTS + p];
      }
      partials[head_out] = highest;
      partials[head_out + 1u] = total;
    }
  }
  //: end
}
