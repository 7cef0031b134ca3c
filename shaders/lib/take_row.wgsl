// Copies a row of the prompt chunk into a slot of the cache: key, value, position and score.
// Needs lib/paging.wgsl; shape, chunk, pages (array<u32>), const THREADS: the workgroup that shares the copy.

fn take_row(kv_head: u32, r: u32, page: u32, slot: u32, thread: u32) {
  let home = kv_head * shape.chunk_pages + r / PAGE_SLOTS;
  for (var w = thread; w < HALF_DIM; w += THREADS) {
    pages[key_word(page, slot) + w] = chunk[key_word(home, r) + w];
    pages[value_word(page, slot) + w] = chunk[value_word(home, r) + w];
  }
  if (thread == 0u) {
    pages[position_word(page, slot)] = chunk[position_word(home, r)];
    pages[score_word(page, slot)] = chunk[score_word(home, r)];
  }
}
