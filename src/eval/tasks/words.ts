/** Words for generated sentences, names and lists. */
export const ADJECTIVES = (
  "quiet green old narrow bright heavy gentle hollow silver crooked distant warm patient dusty " +
  "bitter broken careful early faded golden humble icy jolly keen lonely muddy noble odd pale rapid " +
  "rusty shy steep tidy vast wild young wooden secret"
).split(" ");

export const NOUNS = (
  "river garden lantern bridge teacher harbor window cloud farmer kettle market forest ladder basket " +
  "painter village pocket engine mirror castle orchard blanket captain doctor island valley ribbon " +
  "hammer station pebble candle carpet sailor meadow tunnel bakery statue journal cabin wagon compass " +
  "feather glacier helmet jacket kitchen lemon mountain needle ocean parrot quilt rocket saddle temple " +
  "umbrella violin whistle yard zebra anchor barrel cottage dragon eagle fountain guitar hotel ink jewel"
).split(" ");

export const VERBS = (
  "watches follows paints carries repairs remembers crosses leaves finds visits guards shakes counts " +
  "borrows cleans describes opens passes reaches touches"
).split(" ");

export const ADVERBS =
  "slowly again today quietly once alone together later often carefully at night by noon".split(
    " ",
  );

const SYLLABLES = (
  "ba be bo da den dor el fa fen gar hal il jor ka kel lan lo mar mel mi nor ol pen ra ros sa sel ta " +
  "tor ul va ven wy yor zan"
).split(" ");

/** A made-up name of two or three syllables. */
export function inventName(random: () => number): string {
  const count = 2 + Math.floor(random() * 2);
  let name = "";
  for (let i = 0; i < count; i += 1) name += SYLLABLES[Math.floor(random() * SYLLABLES.length)];
  return name[0]!.toUpperCase() + name.slice(1);
}

export function letters(random: () => number, count: number, alphabet: string): string {
  let text = "";
  for (let i = 0; i < count; i += 1) text += alphabet[Math.floor(random() * alphabet.length)];
  return text;
}

/** Different results of `make`, drawn until there are `count`. */
export function distinct(count: number, make: () => string): string[] {
  const found = new Set<string>();
  while (found.size < count) found.add(make());
  return [...found];
}
