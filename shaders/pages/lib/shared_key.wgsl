// The key that a workgroup turns, between reading and writing it. Needs: HEAD_DIM.
//: import lib/octet

var<workgroup> sh_key: array<f32, HEAD_DIM>;

// Dimensions [i, i + 8).
fn key_octet(i: u32) -> Octet {
  return Octet(
    vec4<f32>(sh_key[i], sh_key[i + 1u], sh_key[i + 2u], sh_key[i + 3u]),
    vec4<f32>(sh_key[i + 4u], sh_key[i + 5u], sh_key[i + 6u], sh_key[i + 7u]),
  );
}
