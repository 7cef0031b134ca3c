/** The tokens that mark turns: what a chat template writes as one is a control token, whatever type a file gives it. */

/** Ends of a turn that files spell without naming them in a key. */
export const END_SPELLINGS: readonly string[] = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|eot|>",
  "<end_of_turn>",
  "<|end_of_turn|>",
  "<turn|>",
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|end|>",
  "<|return|>",
  "<|END_OF_TURN_TOKEN|>",
  "<｜end▁of▁sentence｜>",
  "[|endofturn|]",
  "</s>",
  "<eos>",
  "<EOT>",
  "_<EOT>",
];

const TURNS = ["<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"];
/** Tokens are spelled so only to be markers. */
const BARS = /^(?:<\|[^\s<>]+\|>|<｜[^\s<>]+｜>|\[\|[^\s[\]]+\|\])$/;
const BRACKETS = /^(?:<[^\s<>]+>|\[[^\s[\]]+\])$/;

/** Whether a token that a file does not call a control token is one all the same. */
export function isMarker(token: string, template: string | undefined): boolean {
  if (TURNS.includes(token)) return true;
  if (!BARS.test(token)) return false;
  if (END_SPELLINGS.includes(token) || template === undefined) return END_SPELLINGS.includes(token);
  // Some templates put their markers together: '<|' + message.role + '|>'.
  const opening = token.slice(0, 2);
  const composed = [`${opening}'`, `${opening}"`].some((part) => template.includes(part));
  return composed || template.includes(token);
}

/**
 * Whether the template writes the token as a tag around texts: `<tool_response>`, `[INST]`. Models may write it too, so
 * it shows in answers, but nobody else's text may hold it.
 */
export const isTag = (token: string, template: string): boolean =>
  BRACKETS.test(token) && template.includes(token);

/** Ends of a turn that the template writes and that no token stands for: an answer ends where one is spelled. */
export const spelledEnds = (template: string, isToken: (spelling: string) => boolean): string[] =>
  END_SPELLINGS.filter(
    (end) => (BARS.test(end) || TURNS.includes(end)) && template.includes(end) && !isToken(end),
  );
