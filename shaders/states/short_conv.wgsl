// A gated short convolution (LFM2): y[m] = C[m] * sum over i of taps[i] * (B x)[m - i], i from 0 to K - 1. B, C and x [E]
// are the thirds of a row of `projected`. What comes before the first row is the state that the row's sequence has: the
// last K - 1 rows of B x, the newest first. A row's move says from which slot of `states` its state is read, and to which
// slot the state behind it is written; they may be the same.
//
// SERIAL: the rows follow one another in one sequence; else each is of another one, with a move of its own. EACH (of SERIAL):
// the state behind every row is written, by its own move; else the one behind the last row, by the first row's move.
// An invocation takes four channels through all its rows, so that nothing is read that another one writes.
// Grid: (E / 4 / 64, 1 if SERIAL, else rows). Bytes per row: 12E read and 4E written, and per sequence the state twice: bound by
// memory, and small beside the products around it.
// Needs const CHANNELS4 (E / 4), LAGS (K - 1), SERIAL, EACH.
//: import lib/batch
//: import states/lib/move

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>; // [M, 3, E / 4]
@group(0) @binding(2) var<storage, read> taps: array<vec4<f32>>; // [K, E / 4]
@group(0) @binding(3) var<storage, read> moves: array<Move>;
@group(0) @binding(4) var<storage, read_write> states: array<vec4<f32>>; // [slots, K - 1, E / 4]
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>; // [M, E / 4]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let c = id.x;
  if (c >= CHANNELS4) { return; }
  let first = select(id.y, 0u, SERIAL);
  let rows = select(1u, batch.rows, SERIAL);
  let here = moves[first];
  //: for i
  var past$i = vec4<f32>();
  if (here.source != NO_STATE) { past$i = states[(here.source * LAGS + $iu) * CHANNELS4 + c]; }
  let tap$i = taps[($iu + 1u) * CHANNELS4 + c];
  //: end
  let tap = taps[c];
  for (var m = first; m < first + rows; m += 1u) {
    let at = m * 3u * CHANNELS4 + c;
    var newest = projected[at] * projected[at + 2u * CHANNELS4];
    var sum = tap * newest;
    //: for i
    let was$i = past$i;
    sum += tap$i * was$i;
    past$i = newest;
    newest = was$i;
    //: end
    y[m * CHANNELS4 + c] = projected[at + CHANNELS4] * sum;
    if (EACH || m + 1u == first + rows) {
      let to = moves[select(first, m, EACH)].to;
      //: for i
      states[(to * LAGS + $iu) * CHANNELS4 + c] = past$i;
      //: end
    }
  }
}
