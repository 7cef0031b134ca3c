import { FIRST_MARK_BYTE } from "../grammar/char-set.ts";
import type { GrammarBuilder } from "../grammar/grammar.ts";
import { nextBegun } from "../syntax/char-automaton.ts";
import type { Expression } from "../syntax/expression.ts";
import { writeExpression } from "../syntax/expression.ts";

const utf8 = new TextEncoder();

/** All bytes of text, and tokens without text that no mark stands for. */
const LAST_BYTE = FIRST_MARK_BYTE;

/** Writes edges of all bytes but marks, by where `next` says that each leads; undefined: nowhere. */
function writeBytes(
  builder: GrammarBuilder,
  from: number,
  next: (byte: number) => number | undefined,
): void {
  let first = 0;
  for (let byte = 1; byte <= LAST_BYTE + 1; byte += 1) {
    const to = next(first);
    if (byte <= LAST_BYTE && next(byte) === to) continue;
    if (to !== undefined) builder.bytes(from, first, byte - 1, to);
    first = byte;
  }
}

/**
 * Writes any text that may end anywhere, up to where a trigger comes, behind which it goes on at `called`; undefined: the
 * trigger does not come. A trigger that is a control token is not spelled in other tokens.
 */
export function writeFreeText(
  builder: GrammarBuilder,
  from: number,
  trigger: string,
  spelled: Expression,
  called: number | undefined,
  to: number,
): void {
  const bytes = [...utf8.encode(trigger)];
  const states = bytes.map(() => builder.state());
  const control = isMark(spelled);
  builder.skip(from, states[0]!);
  states.forEach((state, begun) => {
    builder.skip(state, to);
    writeBytes(builder, state, (byte) => {
      const length = nextBegun(bytes, begun, byte);
      if (length < bytes.length) return states[length];
      return control ? undefined : called;
    });
    if (control && called !== undefined) writeExpression(builder, state, spelled, called);
  });
}

const isMark = (spelled: Expression): boolean =>
  spelled.kind === "sequence" && spelled.parts.length === 1 && spelled.parts[0]!.kind === "chars";

/** What an answer that begins as a call has in front of `called`: spaces may stand between. */
const BEGINNING = [..."{", ...'"name"'].map((char) => char.charCodeAt(0));
const SPACES = [0x20, 0x09, 0x0a, 0x0d];

/** The same where calls have no mark: the text is a call where it begins like one, and free otherwise. */
export function writeAnchored(
  builder: GrammarBuilder,
  from: number,
  called: number | undefined,
  to: number,
): void {
  const free = builder.state();
  writeBytes(builder, free, () => free);
  const states = BEGINNING.map(() => builder.state());
  builder.skip(from, states[0]!);
  for (const state of [free, ...states]) builder.skip(state, to);
  states.forEach((state, begun) => {
    // In front of the brace and of the name.
    const spaced = begun <= 1;
    writeBytes(builder, state, (byte) => {
      if (byte === BEGINNING[begun]) return begun + 1 < states.length ? states[begun + 1] : called;
      return spaced && SPACES.includes(byte) ? state : free;
    });
  });
}
