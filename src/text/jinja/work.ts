/**
 * What is counted and known while a template renders. Rendering never waits, so there is one render at a time and
 * this state belongs to it.
 */
import { TemplateError } from "./template-error.ts";

/** Far above what a template needs for thousands of messages, and reached within seconds. */
const MAX_STEPS = 3_000_000;
/** UTF-16 units of one text. */
const MAX_TEXT = 1 << 26;
/** Items of one list. */
const MAX_ITEMS = 1 << 22;
/** Macros within macros and loops within loops. */
const MAX_DEPTH = 150;

let steps = 0;
let depth = 0;
/** A character that stands in user text to break up markers, or "". No comparison or search sees it. */
export let guard = "";

/** Runs one render. */
export function startWork<T>(guardCharacter: string, action: () => T): T {
  [steps, depth, guard] = [0, 0, guardCharacter];
  try {
    return action();
  } finally {
    guard = "";
  }
}

/** Counts work. @throws TemplateError if the template takes too much of it. */
export function tick(amount = 1): void {
  steps += amount;
  if (steps > MAX_STEPS) throw new TemplateError(`takes more than ${MAX_STEPS} steps`);
}

/** Counts the work of making a text of `length` units, before it is made. */
export function tickText(length: number): void {
  if (length > MAX_TEXT) throw new TemplateError(`makes a text of ${length} characters`);
  tick(length >> 8);
}

/** Counts the work of making a list of `length` items, before it is made. */
export function tickItems(length: number): void {
  if (length > MAX_ITEMS) throw new TemplateError(`makes a list of ${length} items`);
  tick(length >> 4);
}

/** Runs `action` one level deeper. */
export function nested<T>(action: () => T): T {
  if (++depth > MAX_DEPTH) throw new TemplateError(`is nested more than ${MAX_DEPTH} deep`);
  try {
    return action();
  } finally {
    depth--;
  }
}
