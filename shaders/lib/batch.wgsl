// What every kernel of a step is told: which rows there are.

// One row of a batch: a token to run at a position of a lane (a sequence in the pool).
struct Row {
  token: u32,
  position: u32,
  lane: u32,
  block_row: u32, // of a prompt: its row in the prompt block's scratch
}

struct Batch {
  rows: u32,   // M
  first: u32,  // row of the input where they begin
  splits: u32, // parts that attention is divided into while decoding
  pad: u32,
}

// Below every logit of attention, and finite: WGSL may take infinities for something else.
const LOWEST = -3.0e38;
