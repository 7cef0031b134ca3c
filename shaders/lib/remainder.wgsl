// What a kv head has dropped, in sum: [n, keys [D], values [D], total], f32, in the page-table row's last words. In attention it
// is one more pair, which stands for n: the mean key and the mean value, with ln n added to its logit, and REMAINDER_BIAS,
// since the mean of exp(logit) is above exp(mean logit); chosen for the output's error, not the logit's (cache/policies/README.md).
// It stands for the latest REMAINDER_MOST pairs: older ones fade, or the mean of all that was ever said would outweigh in
// time what is kept. `total` is remember_block's: the candidates of the block that is taken in.
// Needs: HEAD_DIM, tables; at: what remainder_of says.
//: import lib/paging
//: import lib/octet

const REMAINDER_MOST = 512.0;
const REMAINDER_BIAS = 0.6;

fn remainder_count(at: u32) -> f32 { return bitcast<f32>(tables[at]); }

fn remainder_quad(at: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(tables[at], tables[at + 1u], tables[at + 2u], tables[at + 3u]));
}
// Dimensions [8 o, 8 o + 8) of the sum of keys, and of values.
fn remainder_keys(at: u32, o: u32) -> Octet {
  let first = at + 1u + 8u * o;
  return Octet(remainder_quad(first), remainder_quad(first + 4u));
}
fn remainder_values(at: u32, o: u32) -> Octet { return remainder_keys(at + HEAD_DIM, o); }

fn remainder_value(at: u32, d: u32) -> f32 { return bitcast<f32>(tables[at + 1u + HEAD_DIM + d]); }

// What is left of n pairs, as a factor, where d more are dropped.
fn remainder_fading(n: f32, d: f32) -> f32 { return min(1.0, max(REMAINDER_MOST - d, 0.0) / max(n, 1.0)); }

// The logit of n pairs from (query . sum of keys) / sqrt(D).
fn remainder_logit(dot_sum: f32, n: f32) -> f32 { return dot_sum / n + log(min(n, REMAINDER_MOST)) + REMAINDER_BIAS; }
