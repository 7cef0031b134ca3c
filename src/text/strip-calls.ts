/**
 * Templates are written for Python, whose strip, lstrip and rstrip take the characters to take away: Qwen 3's keep
 * an answer's indentation by `content.lstrip('\n')`. The template engine's take all white space, whatever they are given.
 */

/** No name that a template can have. */
const NAME = "strip characters";

type Node = Readonly<Record<string, unknown>>;
interface Call extends Node {
  callee: unknown;
  args: unknown[];
}

/** The variables that a template needs once its calls are rewritten. */
export const STRIP_VARIABLES: Readonly<Record<string, unknown>> = { [NAME]: strip };

/** Rewrites, in a parsed template, `text.strip(chars)` and its kin to calls of a function of ours. */
export function rewriteStrips(node: unknown): void {
  if (node instanceof Map) for (const pair of node) rewriteStrips(pair);
  else if (Array.isArray(node)) node.forEach(rewriteStrips);
  else if (isNode(node)) {
    Object.values(node).forEach(rewriteStrips);
    const side = isCall(node) && node.args.length === 1 ? sideOf(node.callee) : undefined;
    if (side === undefined) return;
    const call = node as Call;
    const { object } = call.callee as Node;
    call.callee = { type: "Identifier", value: NAME };
    call.args = [object, ...call.args, { type: "StringLiteral", value: side }];
  }
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null;

const isCall = (node: Node): node is Call =>
  node.type === "CallExpression" && Array.isArray(node.args);

/** "strip", "lstrip" or "rstrip" where that is the method called. */
function sideOf(callee: unknown): string | undefined {
  if (!isNode(callee) || callee.type !== "MemberExpression" || callee.computed === true) return;
  const name = isNode(callee.property) ? callee.property.value : undefined;
  return typeof name === "string" && /^[lr]?strip$/.test(name) ? name : undefined;
}

/** Python's strip, lstrip and rstrip: without characters, or with `None`, white space goes. */
function strip(text: unknown, characters: unknown, side: string): string {
  if (typeof text !== "string") throw new TypeError(`${side}: not of a text`);
  const taken =
    typeof characters === "string"
      ? (char: string) => characters.includes(char)
      : (char: string) => char.trim() === "";
  const chars = [...text];
  let [start, end] = [0, chars.length];
  if (side !== "rstrip") while (start < end && taken(chars[start]!)) start++;
  if (side !== "lstrip") while (end > start && taken(chars[end - 1]!)) end--;
  return chars.slice(start, end).join("");
}
