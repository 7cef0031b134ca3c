// Eight neighbouring dimensions of a key or value: what every storage of pages is read and written by.

const OCTETS_A_VECTOR = HEAD_DIM / 8u;

struct Octet { low: vec4<f32>, high: vec4<f32> }
