// One eviction of a lane, the same for all kv heads of a layer; a row of the chunk as a move's source.
struct Eviction {
  lane: u32,
  rows: u32,  // M, of the chunk
  last: u32,  // position of the newest token
  pad: u32,
}

const CHUNK_SOURCE = 0x80000000u;
