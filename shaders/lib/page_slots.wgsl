// Where the parts of a slot lie in the pages that the binding `source` holds. A page is, in u32 words:
//   keys      [P, VECTOR_WORDS]  after RoPE at the true position
//   values    [P, VECTOR_WORDS]
//   scales    [P]                of a slot's key and value, where SCALED
//   positions [P]                u32, the token's true position
//   scores    [P]                f32 bits, higher = keep
// `source_` is replaced by the binding's name: pages and the prompt's chunk may be stored differently.
// Needs: HEAD_DIM (D), PAGE_SLOTS (P), and lib/pages_STORAGE.wgsl for VECTOR_WORDS, SCALED and UNIT_WORDS.

const SOURCE_SLOT_WORDS = 2u * SOURCE_VECTOR_WORDS + u32(SOURCE_SCALED) + 2u;
const SOURCE_PAGE_WORDS = PAGE_SLOTS * SOURCE_SLOT_WORDS;

// First word of a slot's key and value, and the words of its scales, position and score, given its page.
fn source_key_word(page: u32, slot: u32) -> u32 {
  return page * SOURCE_PAGE_WORDS + (slot % PAGE_SLOTS) * SOURCE_VECTOR_WORDS;
}
fn source_value_word(page: u32, slot: u32) -> u32 {
  return source_key_word(page, slot) + PAGE_SLOTS * SOURCE_VECTOR_WORDS;
}
fn source_scale_word(page: u32, slot: u32) -> u32 {
  return page * SOURCE_PAGE_WORDS + 2u * PAGE_SLOTS * SOURCE_VECTOR_WORDS + slot % PAGE_SLOTS;
}
fn source_position_word(page: u32, slot: u32) -> u32 {
  return page * SOURCE_PAGE_WORDS + PAGE_SLOTS * (SOURCE_SLOT_WORDS - 2u) + slot % PAGE_SLOTS;
}
fn source_score_word(page: u32, slot: u32) -> u32 {
  return source_position_word(page, slot) + PAGE_SLOTS;
}

// The unit in which a slot's key and value begin.
fn source_key(page: u32, slot: u32) -> u32 { return source_key_word(page, slot) / SOURCE_UNIT_WORDS; }
fn source_value(page: u32, slot: u32) -> u32 { return source_value_word(page, slot) / SOURCE_UNIT_WORDS; }
