import { invalidArgument, WinnowError } from "../../errors.ts";
import type { GuardedTokenizer } from "../control-splitter.ts";
import { type GgufMetadata, readString } from "../gguf/gguf-fields.ts";
import { spellingsOf, TOKEN_TYPE, type Vocabulary } from "../gguf/gguf-vocabulary.ts";
import type { Template } from "../jinja.ts";
import { LiteralFinder } from "../literal-finder.ts";
import type { ChatMessage, ChatTemplate, RenderOptions, Tokenizer } from "../types.ts";
import { guardAll, unusedCharacter } from "./guard-markers.ts";
import { isTag, spelledEnds } from "./marker-tokens.ts";

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
  const make = (template: string) => new JinjaChatTemplate(jinja, template, metadata, vocabulary);
  const source = readString(metadata, KEY);
  if (source !== undefined) return make(source);
  const controls = spellingsOf(vocabulary, TOKEN_TYPE.control);
  if (controls.includes("<|im_start|>") && controls.includes("<|im_end|>")) return make(CHATML);
  if (controls.includes("<start_of_turn>") && controls.includes("<end_of_turn>"))
    return make(TURNS);
  throw new WinnowError("unsupported_model", `${KEY}: the model has no chat template`, {
    hint: "It is probably a base model: use an instruct version for chats, or plain text generation.",
    details: { field: KEY },
  });
}

/** The tokens that templates name, each with llama.cpp's name of its id. */
const NAMED_TOKENS = {
  unk_token: "unknown",
  pad_token: "padding",
  sep_token: "seperator",
  cls_token: "cls",
  mask_token: "mask",
};

class JinjaChatTemplate implements ChatTemplate {
  readonly source: string;
  readonly stop: readonly string[];
  readonly #template: Template;
  readonly #variables: Record<string, unknown>;
  readonly #prefix: readonly number[];
  readonly #controls: LiteralFinder;
  /** Control tokens, and the tags that the template writes around texts. */
  readonly #markers: LiteralFinder;

  constructor(jinja: Jinja, source: string, metadata: GgufMetadata, vocabulary: Vocabulary) {
    const { bos, eos, tokens, types, prefix } = vocabulary;
    const controls = spellingsOf(vocabulary, TOKEN_TYPE.control);
    const tags = spellingsOf(vocabulary, TOKEN_TYPE.userDefined).filter((token) =>
      isTag(token, source),
    );
    this.source = source;
    this.#prefix = prefix;
    this.#controls = new LiteralFinder(controls);
    this.#markers = new LiteralFinder([...controls, ...tags]);
    const { ids } = vocabulary;
    this.stop = spelledEnds(source, (end) => types[ids.get(end) ?? -1] === TOKEN_TYPE.control);
    this.#variables = {
      bos_token: bos === undefined ? "" : tokens[bos],
      eos_token: eos === undefined ? "" : tokens[eos],
      tools: null,
      documents: null,
    };
    for (const [name, key] of Object.entries(NAMED_TOKENS))
      this.#variables[name] = tokens[Number(metadata.get(`tokenizer.ggml.${key}_token_id`) ?? -1)];
    try {
      this.#template = new jinja.Template(source);
    } catch (cause) {
      throw unsupportedTemplate(cause);
    }
  }

  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    return this.#render(messages, options, "");
  }

  #render(messages: readonly ChatMessage[], options: RenderOptions, guard: string): string {
    checkMessages(messages);
    const variables = {
      ...this.#variables,
      ...options.variables,
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: options.addGenerationPrompt ?? false,
    };
    try {
      return this.#template.render(variables, guard);
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
    const guard = unusedCharacter([this.source, JSON.stringify([messages, options.variables])]);
    const guarded = messages.map((message) => guardAll(message, guard, this.#markersIn(message)));
    const variables = guardAll(options.variables ?? {}, guard, this.#controls);
    const text = this.#render(guarded, { ...options, variables }, guard);
    const ids = this.#idsOf(text, guard, tokenizer);
    const [bos] = this.#prefix;
    return bos === undefined || ids[0] === bos ? ids : [bos, ...ids];
  }

  /** Answers may hold tags that the model wrote, and the system text may explain them. */
  #markersIn({ role }: ChatMessage): LiteralFinder {
    return role === "user" || role === "tool" ? this.#markers : this.#controls;
  }

  #idsOf(text: string, guard: string, tokenizer: Tokenizer): number[] {
    if (!text.includes(guard)) return tokenizer.encode(text, { special: true });
    if (isGuarded(tokenizer)) return tokenizer.encodeGuarded(text, guard);
    return this.#controls
      .split(text)
      .flatMap(({ text: piece, literal }) =>
        tokenizer.encode(piece.replaceAll(guard, ""), { special: literal }),
      );
  }
}

const isGuarded = (tokenizer: Tokenizer): tokenizer is GuardedTokenizer =>
  "encodeGuarded" in tokenizer;

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
