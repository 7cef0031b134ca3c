import { invalidArgument, WinnowError } from "../errors.ts";
import type { GuardedTokenizer } from "./control-splitter.ts";
import { type GgufMetadata, readString } from "./gguf-fields.ts";
import { spellingsOf, TOKEN_TYPE, type Vocabulary } from "./gguf-vocabulary.ts";
import type { Template } from "./jinja.ts";
import { LiteralFinder } from "./literal-finder.ts";
import type { ChatMessage, ChatTemplate, Tokenizer } from "./types.ts";

const KEY = "tokenizer.chat_template";
const ROLES: ReadonlySet<string> = new Set(["system", "user", "assistant", "tool"]);

/** For models without a template whose vocabulary has the two control tokens of ChatML. */
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + " +
  "'<|im_end|>' + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** The template language: a fifth of the code, so whoever needs it brings it when it is needed. */
export type Jinja = { readonly Template: typeof Template };

/**
 * For models without a template whose vocabulary has the turns of Gemma: there is no system role, so
 * the system text goes in front of the first turn, and the assistant is called "model".
 */
const TURNS =
  "{{ bos_token }}{% set start = 1 if messages and messages[0]['role'] == 'system' else 0 %}" +
  "{% for message in messages[start:] %}{{ '<start_of_turn>' + " +
  "('model' if message['role'] == 'assistant' else 'user') + '\n' + " +
  "(messages[0]['content'] + '\n\n' if start and loop.first else '') + " +
  "message['content'] + '<end_of_turn>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";

interface RenderOptions {
  addGenerationPrompt?: boolean;
}

/**
 * The chat template a GGUF carries. Where it carries none: ChatML without a default system message if
 * it has the tokens `<|im_start|>` and `<|im_end|>`, Gemma's turns if it has `<start_of_turn>` and
 * `<end_of_turn>`.
 * @throws unsupported_model if there is neither, or the template does not parse.
 */
export function createChatTemplate(
  metadata: GgufMetadata,
  vocabulary: Vocabulary,
  jinja: Jinja,
): ChatTemplate {
  const controls = spellingsOf(vocabulary, TOKEN_TYPE.control);
  const source = readString(metadata, KEY);
  if (source !== undefined) return new JinjaChatTemplate(jinja, source, vocabulary, controls);
  if (controls.includes("<|im_start|>") && controls.includes("<|im_end|>"))
    return new JinjaChatTemplate(jinja, CHATML, vocabulary, controls);
  if (controls.includes("<start_of_turn>") && controls.includes("<end_of_turn>"))
    return new JinjaChatTemplate(jinja, TURNS, vocabulary, controls);
  throw new WinnowError("unsupported_model", `${KEY}: the model has no chat template`, {
    hint: "It is probably a base model: use an instruct version for chats, or plain text generation.",
    details: { field: KEY },
  });
}

class JinjaChatTemplate implements ChatTemplate {
  readonly #template: Template;
  readonly #source: string;
  readonly #variables: Record<string, unknown>;
  readonly #controls: LiteralFinder;

  constructor(jinja: Jinja, source: string, vocabulary: Vocabulary, controls: readonly string[]) {
    this.#source = source;
    this.#controls = new LiteralFinder(controls);
    const spelling = (id: number | undefined) => (id === undefined ? "" : vocabulary.tokens[id]);
    this.#variables = {
      bos_token: spelling(vocabulary.bos),
      eos_token: spelling(vocabulary.eos),
      tools: null,
      documents: null,
    };
    try {
      this.#template = new jinja.Template(source);
    } catch (cause) {
      throw unsupportedTemplate(cause);
    }
  }

  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    checkMessages(messages);
    try {
      return this.#template.render({
        ...this.#variables,
        messages: messages.map((message) => ({ ...message })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
      });
    } catch (cause) {
      if (!isRaised(cause)) throw unsupportedTemplate(cause);
      throw new WinnowError("invalid_argument", `messages: ${cause.message}`, {
        hint: "The model's own chat template refuses this conversation.",
        details: { field: "messages" },
        cause,
      });
    }
  }

  encode(
    messages: readonly ChatMessage[],
    tokenizer: Tokenizer,
    options: RenderOptions = {},
  ): number[] {
    checkMessages(messages);
    const guard = unusedCharacter([this.#source, ...messages.map(({ content }) => content)]);
    const guarded = messages.map((message) => ({
      ...message,
      content: this.#guardControls(message.content, guard),
    }));
    const text = this.render(guarded, options);
    if (!text.includes(guard)) return tokenizer.encode(text, { special: true });
    if (isGuarded(tokenizer)) return tokenizer.encodeGuarded(text, guard);
    return this.#controls
      .split(text)
      .flatMap(({ text: piece, literal }) =>
        tokenizer.encode(piece.replaceAll(guard, ""), { special: literal }),
      );
  }

  /**
   * Puts `guard` behind the first character of every control token spelled in the content, and of
   * an unfinished one at its end, which the text behind the content could complete. The template
   * sees the content otherwise unchanged, so that it may trim or cut it as it likes.
   */
  #guardControls(content: string, guard: string): string {
    const end = content.trimEnd();
    let out = "";
    for (let at = 0; at < content.length; at++) {
      out += content[at];
      const spelled = this.#controls.matchAt(content, at) > 0;
      if (spelled || (at < end.length && this.#controls.mayContinueFrom(end, at))) out += guard;
    }
    return out;
  }
}

const isGuarded = (tokenizer: Tokenizer): tokenizer is GuardedTokenizer =>
  "encodeGuarded" in tokenizer;

/** A noncharacter (Unicode sets U+FDD0 to U+FDEF aside for such internal use) none of the texts has. */
function unusedCharacter(texts: readonly string[]): string {
  for (let code = 0xfdd0; code <= 0xfdef; code++) {
    const char = String.fromCharCode(code);
    if (!texts.some((text) => text.includes(char))) return char;
  }
  throw invalidArgument("messages", "they use all of the noncharacters U+FDD0 to U+FDEF");
}

function checkMessages(messages: readonly ChatMessage[]): void {
  if (!Array.isArray(messages)) throw invalidArgument("messages", "is not an array");
  messages.forEach((message: Partial<ChatMessage> | null, index) => {
    if (typeof message?.role !== "string" || !ROLES.has(message.role))
      throw invalidArgument(
        `messages[${index}].role`,
        `is ${JSON.stringify(message?.role)}`,
        `Roles are ${[...ROLES].join(", ")}.`,
      );
    if (typeof message.content !== "string")
      throw invalidArgument(`messages[${index}].content`, "is not a string");
  });
}

/** The template called `raise_exception`. */
const isRaised = (cause: unknown): cause is Error & { readonly raised: true } =>
  cause instanceof Error && "raised" in cause && cause.raised === true;

function unsupportedTemplate(cause: unknown): WinnowError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const line = cause instanceof Error && "line" in cause ? Number(cause.line) : undefined;
  const where = line === undefined ? KEY : `${KEY}, line ${line}`;
  return new WinnowError("unsupported_model", `${where}: ${message}`, {
    hint: "The chat template cannot be rendered here; generate from plain text instead.",
    details: { field: KEY, ...(line !== undefined && { line }) },
    cause,
  });
}
