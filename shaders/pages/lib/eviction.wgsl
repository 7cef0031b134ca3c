// One eviction of a lane, the same for all kv heads of a layer; a row of the block as a move's source.
struct Eviction {
  lane: u32,
  rows: u32,  // of the prompt block
  last: u32,  // position of the newest token
  all: u32,   // 1: score every head, also where nothing has to go yet
  queries: u32,     // last rows of the block whose attention is observed
  first_query: u32, // their first row in qkv
  anew: u32,        // 1: the scores in the cache are another policy's
  pad0: u32,
}

// More tokens than any capacity, that of an unlimited cache included.
const EVERYTHING = 0x80000000u;

const CHUNK_SOURCE = 0x80000000u;
