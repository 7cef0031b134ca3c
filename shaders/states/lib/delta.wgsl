// What the kernels of gated DeltaNet layers share: how a row and a state lie.
//
// A row of `projected`: q and k [K_HEADS, D], v and z [V_HEADS, D], beta and alpha [V_HEADS]. Value head h reads with the query and the
// key of head h % K_HEADS. A state of a value head: the last LAGS rows of its q, k and v before the convolution [LAGS, 3, D], the newest
// first, then S [D, D], a row for each dimension of the key. So no value head reads what another one writes.
// Needs const QUADS (D / 4), K_HEADS, V_HEADS, LAGS (K - 1), and projected, taps, moves and states.
//: import states/lib/move

const CHANNELS4 = (2u * K_HEADS + V_HEADS) * QUADS; // of the convolution
const WIDTH4 = CHANNELS4 + V_HEADS * QUADS + V_HEADS / 2u;
const ROWS4 = LAGS * 3u * QUADS; // of the rows in a head's state
const HEAD4 = ROWS4 + 4u * QUADS * QUADS;

// Where a value head's state begins in a slot.
fn state_of(slot: u32, h: u32) -> u32 { return (slot * V_HEADS + h) * HEAD4; }

// Where its query (part 0), key (1) or value (2) begins in a row.
fn channel_of(h: u32, part: u32) -> u32 {
  return select(part * K_HEADS + h % K_HEADS, 2u * K_HEADS + h, part == 2u) * QUADS;
}

// Quad c of a part, `lag` rows before row m of a sequence whose first row here is `first`.
fn row_before(m: u32, lag: u32, first: u32, source: u32, h: u32, part: u32, c: u32) -> vec4<f32> {
  if (m - first >= lag) { return projected[(m - lag) * WIDTH4 + channel_of(h, part) + c]; }
  if (source == NO_STATE) { return vec4<f32>(); }
  return states[state_of(source, h) + ((lag - 1u + first - m) * 3u + part) * QUADS + c];
}

// The same of row m behind the convolution and SiLU.
fn convolved(m: u32, first: u32, source: u32, h: u32, part: u32, c: u32) -> vec4<f32> {
  let channel = channel_of(h, part) + c;
  var sum = taps[channel] * projected[m * WIDTH4 + channel];
  for (var i = 1u; i <= LAGS; i += 1u) {
    sum += taps[i * CHANNELS4 + channel] * row_before(m, i, first, source, h, part, c);
  }
  return sum / (1.0 + exp(-max(sum, vec4<f32>(-80.0))));
}

// Writes what the convolution of rows behind row m reads of it and of rows before. The oldest first: the slots may be the same.
fn keep_rows(m: u32, first: u32, source: u32, to: u32, h: u32, part: u32, c: u32) {
  for (var lag = LAGS; lag > 0u; lag -= 1u) {
    let row = row_before(m, lag - 1u, first, source, h, part, c);
    states[state_of(to, h) + ((lag - 1u) * 3u + part) * QUADS + c] = row;
  }
}

// The n-th of the numbers behind a row's vectors: beta of each head, then alpha.
fn number_of(m: u32, n: u32) -> f32 {
  return projected[m * WIDTH4 + CHANNELS4 + V_HEADS * QUADS + n / 4u][n % 4u];
}

// ln of the factor by which head h forgets at row m; `rate`: its rate, below 0, and the bias of its step.
fn log_decay(m: u32, h: u32, rate: vec2<f32>) -> f32 {
  let step = number_of(m, V_HEADS + h) + rate.y;
  return rate.x * select(log(1.0 + exp(step)), step, step > 20.0);
}

// How much of what is new head h takes at row m.
fn beta_of(m: u32, h: u32) -> f32 { return 1.0 / (1.0 + exp(-max(number_of(m, h), -80.0))); }
