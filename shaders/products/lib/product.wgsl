// Shared by matvec and matmul: shapes and epilogues of y = epilogue(x W^T + bias).
// Needs: batch, shape, y; adds(), gates() or pairs(), at most one true, and from_first(): constants, or read from the shape;
// const GELU.
//: import lib/batch
//: import products/lib/activation

struct ProductShape {
  rows: u32,       // rows of this part of W
  first_row: u32,  // the first of them within W: where its biases begin
  column: u32,     // where its outputs begin in a row of y, before swiglu halves them
  y_stride: u32,   // f32 between rows of y
  blocks: u32,     // of 32 weights in a row of W
  cols4: u32,      // K / 4
  epilogue: u32,   // 0: store, 1: add, 2: swiglu, 3: gate
  from_first: u32, // 1: x begins at row batch.first
}

// First row of x in this batch.
fn input_row(m: u32) -> u32 {
  return select(m, batch.first + m, from_first());
}

// Writes y[m] for row n of this part; `value` still lacks the bias.
fn emit(m: u32, n: u32, value: f32) {
  let at = m * shape.y_stride + shape.column + n;
  let result = value + bias_of(shape.first_row + n);
  if (adds()) { y[at] += result; }
  else if (gates()) { y[at] = activation(y[at]) * result; }
  else { y[at] = result; }
}

// Rows n and n + 1 of an interleaved matrix: gate and up.
fn emit_pair(m: u32, n: u32, gate: f32, up: f32) {
  let row = shape.first_row + n;
  y[m * shape.y_stride + (shape.column + n) / 2u] = activation(gate + bias_of(row)) * (up + bias_of(row + 1u));
}
