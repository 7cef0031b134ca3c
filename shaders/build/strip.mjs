/** Instructions to the build (`//: for h`), comments, spaces, words (`acc$h_low`, `0.5`), and the rest. */
const TOKEN = /\/\/:.*|\/\/.*|\s+|[A-Za-z_$\d](?:[\w$]|\.(?=[\w$]))*|./g;
const WORD = /[\w$.]/;
const OPERATOR = /[-+*/%<>=!&|^~]/;

/** @param {string} token */
const isInstruction = (token) => token.startsWith("//:");
/** @param {string} token */
const isBlank = (token) => /^(\s|\/\/(?!:))/.test(token);

/**
 * Whether two tokens that a space parts would be other tokens without it.
 * @param {string} last @param {string} next
 */
const wouldJoin = (last, next) =>
  (WORD.test(last) && WORD.test(next)) || (OPERATOR.test(last) && OPERATOR.test(next));

/**
 * A shader as it is shipped: without comments, and without the spaces that part no tokens. Instructions stay on lines of
 * their own.
 * @param {string} code
 */
export function stripShader(code) {
  let out = "";
  let parted = false;
  for (const token of code.match(TOKEN) ?? []) {
    if (isBlank(token)) {
      parted = true;
      continue;
    }
    if (isInstruction(token)) out += `${out === "" || out.endsWith("\n") ? "" : "\n"}${token}\n`;
    else out += parted && wouldJoin(out.at(-1) ?? "\n", token[0] ?? "") ? ` ${token}` : token;
    parted = false;
  }
  return out;
}
