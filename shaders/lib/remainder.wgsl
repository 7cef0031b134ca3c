// What a kv head has dropped, in sum: [n, keys [D], values [D]], f32, in the page-table row's last words. In attention it
// In attention it is one more pair, which stands for n: the mean key and the mean value, with ln n added to its logit, and REMAINDER_BIAS,
// since the mean of exp(logit) is above exp(mean logit); chosen for the output's error, not the logit's (ARCHITECTURE.md).
// Needs: HEAD_DIM, tables; at: what remainder_of says.
//: import lib/paging
//: import lib/octet

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

// The logit of n pairs from (query . sum of keys) / sqrt(D).
fn remainder_logit(dot_sum: f32, n: f32) -> f32 { return dot_sum / n + log(n) + REMAINDER_BIAS; }
