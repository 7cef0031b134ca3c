// Invocations that all need the same values, in fours: lane l loads every fourth of them and takes the others out of its
// neighbours' registers. For CPU adapters, where an invocation is a lane of SIMD and memory is read lane by lane, with
// a branch per word: in SwiftShader a vec4 costs about 180 instructions to load and 4 to swap.
// What lane l calls its value R is the one that lane l ^ R loaded: value l ^ R. Numbers that it counts by R (registers,
// outputs) are therefore those of l ^ R, and `total` takes the same sum in every lane, to the bit.
// Needs all four lanes wherever it is called. lib/quad_alone is the same for one invocation by itself.

const SHARE = 4u;

struct Invocation {
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_invocation_id) in_subgroup: u32,
}

fn lane_of(invocation: Invocation) -> u32 { return invocation.in_subgroup % SHARE; }

// One number for each R.
alias Quarters = vec4<f32>;

fn from0(v: vec4<f32>) -> vec4<f32> { return v; }
fn from1(v: vec4<f32>) -> vec4<f32> { return quadSwapX(v); }
fn from2(v: vec4<f32>) -> vec4<f32> { return quadSwapY(v); }
fn from3(v: vec4<f32>) -> vec4<f32> { return quadSwapDiagonal(v); }

// What lane R loaded, in every lane: in order, for seven instructions a word.
fn of0(v: vec4<f32>) -> vec4<f32> { return quadBroadcast(v, 0u); }
fn of1(v: vec4<f32>) -> vec4<f32> { return quadBroadcast(v, 1u); }
fn of2(v: vec4<f32>) -> vec4<f32> { return quadBroadcast(v, 2u); }
fn of3(v: vec4<f32>) -> vec4<f32> { return quadBroadcast(v, 3u); }

fn total(parts: Quarters) -> f32 { return (parts.x + parts.y) + (parts.z + parts.w); }

// The highest of the four.
fn most(v: u32) -> u32 {
  let pair = max(v, quadSwapX(v));
  return max(pair, quadSwapY(pair));
}
