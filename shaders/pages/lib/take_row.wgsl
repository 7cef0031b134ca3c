// Takes a row of the prompt chunk into a slot of the cache: key, value, position and score, stored as the pages
// store them. Needs lib/pages_STORAGE.wgsl for `chunk` (read words) and `pages` (write words),
// const THREADS: the workgroup that shares the work; no barrier, so that it may be called anywhere.
//: import lib/paging

fn largest(x: Octet) -> f32 {
  let most = max(abs(x.low), abs(x.high));
  return max(max(most.x, most.y), max(most.z, most.w));
}

// Largest magnitudes of a row's key and value.
fn row_most(key: u32, value: u32) -> vec2<f32> {
  var most = vec2<f32>();
  for (var o = 0u; o < OCTETS_A_VECTOR; o += 1u) {
    let at = o * CHUNK_OCTET_UNITS;
    most = max(most, vec2<f32>(largest(chunk_octet(key + at)), largest(chunk_octet(value + at))));
  }
  return most;
}

fn take_row(kv_head: u32, r: u32, page: u32, slot: u32, thread: u32) {
  let home = kv_head * shape.chunk_pages + r / PAGE_SLOTS;
  let key = chunk_key(home, r);
  let value = chunk_value(home, r);
  if (PAGES_SCALED) {
    // Every thread that stores a part finds the scales by itself.
    for (var o = thread; o < OCTETS_A_VECTOR; o += THREADS) {
      let key_part = chunk_octet(key + o * CHUNK_OCTET_UNITS);
      let value_part = chunk_octet(value + o * CHUNK_OCTET_UNITS);
      let at = o * PAGES_OCTET_UNITS;
      let scales = pages_scales_of(row_most(key, value));
      pages_write(pages_key(page, slot) + at, key_part, scales.x);
      pages_write(pages_value(page, slot) + at, value_part, scales.y);
      if (o == 0u) { pages_write_scales(pages_scale_word(page, slot), scales); }
    }
  } else {
    for (var w = thread; w < PAGES_VECTOR_WORDS; w += THREADS) {
      pages[pages_key_word(page, slot) + w] = chunk[chunk_key_word(home, r) + w];
      pages[pages_value_word(page, slot) + w] = chunk[chunk_value_word(home, r) + w];
    }
  }
  if (thread == 0u) {
    pages[pages_position_word(page, slot)] = chunk[chunk_position_word(home, r)];
    pages[pages_score_word(page, slot)] = chunk[chunk_score_word(home, r)];
  }
}
