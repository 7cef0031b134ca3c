/**
 * Shaders as they are shipped: without comments and the spaces that part no tokens, and with short names. A name gets
 * the same short one in every file, since kernels are joined from several (src/kernels). Each short name is new and
 * stands for one name alone, so that whatever saw a declaration before sees it after. Kept are names that something
 * else knows: those of WGSL, those in `taken`, and those that src/kernels makes of others.
 */

/** Instructions to src/kernels (`//: for h`), comments, spaces, words (`acc$h_low`, `$hu`, `0.5`), and the rest. */
const TOKEN = /\/\/:.*|\/\/.*|\s+|[A-Za-z_][\w$]*|[$\d](?:[\w$]|\.(?=[\w$]))*|./g;

/** What follows `fn`, `let` and so on, and members and parameters: what comes before a colon. */
const DECLARED =
  /\b(?:fn|struct|alias|const|let|var(?:<[^>]*>)?)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)[\w$]*\s*:/g;

const isName = (token: string): boolean => /^[A-Za-z_]/.test(token);
const isInstruction = (token: string): boolean => token.startsWith("//:");
const isBlank = (token: string): boolean => /^(\s|\/\/(?!:))/.test(token);

/** Built-in functions, values, members and attributes that a shader might declare too, and short reserved words. */
const OF_WGSL = new Set(
  `abs all any clamp cross degrees determinant distance dot exp exp2 floor fma fract length log log2 max min mix modf
  normalize pow radians reflect round saturate select sign sin sinh sqrt step tan tanh transpose trunc whole exchanged
  old_value function private workgroup uniform storage read write read_write position index group binding builtin
  compute main workgroup_size workgroup_id num_workgroups local_invocation_id local_invocation_index
  global_invocation_id as do fn if in is of or set get mod new ref try use asm for let var default`.split(
    /\s+/,
  ),
);

/** `$pair.even` and `$pair.odd` of src/kernels/unroll.ts, and members of vectors. */
const MEMBERS = /^([xyzw]{1,4}|[rgba]{1,4}|even|odd)$/;

/** What `source_octet` and SOURCE_UNIT are called once src/kernels/page-code.ts has named their binding. */
const endsLike = (name: string, others: Iterable<string>): boolean => {
  for (const other of others) {
    const [, end] = /^source(_.+)$/i.exec(other) ?? [];
    if (end !== undefined && name.toLowerCase().endsWith(end.toLowerCase())) return true;
  }
  return false;
};

/** The tokens of a shader without comments; a space is one token. */
const tokensOf = (code: string): string[] =>
  (code.match(TOKEN) ?? []).map((token) => (isBlank(token) ? " " : token));

/**
 * Short names for what `shaders` declare, shortest for the most frequent. `taken`: words that TypeScript knows, in
 * WGSL that it writes or puts constants into.
 */
export function shortNames(
  shaders: readonly string[],
  taken: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const count = new Map<string, number>();
  const declared = new Set<string>();
  for (const code of shaders) {
    const tokens = tokensOf(code);
    for (const token of tokens) {
      // `hu` of `$hu` too, so that it means one thing.
      const name = token.startsWith("$") ? token.slice(1) : isName(token) ? stem(token) : undefined;
      if (name !== undefined) count.set(name, (count.get(name) ?? 0) + 1);
    }
    const bare = tokens.filter((token) => !isInstruction(token)).join("");
    for (const [, after, before] of bare.matchAll(DECLARED)) declared.add((after ?? before)!);
  }
  // `acc` where there is an `acc0`, which may be the first of `acc$h`: neither changes.
  const counted = new Set([...count.keys()].map((name) => /^(.*?)\d/.exec(name)?.[1]));
  const keeps = (name: string): boolean =>
    name.length < 3 ||
    taken.has(name) ||
    OF_WGSL.has(name) ||
    MEMBERS.test(name) ||
    /source/i.test(name) ||
    endsLike(name, count.keys()) ||
    counted.has(name) ||
    (/\d/.test(name) && count.has(name.split(/\d/, 1)[0]!));
  const used = (name: string): boolean =>
    count.has(name) || counted.has(name) || taken.has(name) || OF_WGSL.has(name);
  const free = candidates(used);
  const names = new Map<string, string>();
  for (const name of [...declared].sort((a, b) => count.get(b)! - count.get(a)!))
    if (!keeps(name)) names.set(name, free.next().value!);
  return names;
}

/** What unroll counts up is added to a name: `acc$h` becomes `acc0`, whatever `acc` is called. */
const stem = (token: string): string => token.split("$", 1)[0]!;

/** Names of one letter, then of two: without digits, so that none is another with a count added. */
function* candidates(used: (name: string) => boolean): Generator<string, never> {
  const letters = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  for (const name of letters) if (!used(name)) yield name;
  for (const first of letters)
    for (const second of letters) if (!used(first + second)) yield first + second;
  throw new Error("shaders declare more names than two letters make");
}

/** One shader with `names` in place; instructions stay on lines of their own. */
export function minifyShader(code: string, names: ReadonlyMap<string, string>): string {
  let out = "";
  let parted = false;
  for (const token of tokensOf(code)) {
    if (token === " ") {
      parted = true;
      continue;
    }
    if (isInstruction(token)) out += `${out === "" || out.endsWith("\n") ? "" : "\n"}${token}\n`;
    else {
      const next = isName(token)
        ? token.replace(stem(token), (name) => names.get(name) ?? name)
        : token;
      if (parted && wouldJoin(out.at(-1) ?? "\n", next[0]!)) out += " ";
      out += next;
    }
    parted = false;
  }
  return out;
}

const WORD = /[\w$.]/;
const OPERATOR = /[-+*/%<>=!&|^~]/;

/** Whether two tokens that a space parts would be another one, or others, without it. */
const wouldJoin = (last: string, next: string): boolean =>
  (WORD.test(last) && WORD.test(next)) || (OPERATOR.test(last) && OPERATOR.test(next));
