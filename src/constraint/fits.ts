import { FIELDS, type Format, grammarOf, writeFormat } from "./constrain.ts";
import { Matcher, type Place } from "./grammar/matcher.ts";

/** Whether `text` is all that a format asks for, and not only a beginning of it. Throws as `constrain` does. */
export function fits(format: Format, text: string): boolean {
  const field = FIELDS[format.type];
  const matcher = new Matcher(
    grammarOf(field, (builder) => writeFormat(builder, format)),
    field,
  );
  let place: Place | null = matcher.start();
  for (const byte of new TextEncoder().encode(text)) place = place && matcher.step(place, byte);
  return place?.ends ?? false;
}
