// Word i of a slot's SLOT_WORDS: its key, its value, its position, its score. Needs lib/paging.wgsl.
fn slot_word(page: u32, slot: u32, i: u32) -> u32 {
  if (i < HALF_DIM) { return key_word(page, slot) + i; }
  if (i < HEAD_DIM) { return value_word(page, slot) + i - HALF_DIM; }
  return select(score_word(page, slot), position_word(page, slot), i == HEAD_DIM);
}
