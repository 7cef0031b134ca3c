// Word i of a slot's PAGES_SLOT_WORDS, however pages are stored: its key, its value, its scales where it has
// them, its position, its score. Needs lib/page_slots.wgsl for `pages`.
fn slot_word(page: u32, slot: u32, i: u32) -> u32 {
  if (i < PAGES_VECTOR_WORDS) { return pages_key_word(page, slot) + i; }
  if (i < 2u * PAGES_VECTOR_WORDS) { return pages_value_word(page, slot) + i - PAGES_VECTOR_WORDS; }
  if (i == PAGES_SLOT_WORDS - 1u) { return pages_score_word(page, slot); }
  return select(pages_scale_word(page, slot), pages_position_word(page, slot), i == PAGES_SLOT_WORDS - 2u);
}

const REMAINDER_WORDS = 2u + 2u * HEAD_DIM; // lib/remainder.wgsl
