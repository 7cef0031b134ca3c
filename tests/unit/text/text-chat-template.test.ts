import { describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import * as jinja from "../../../src/text/jinja.ts";
import { createChatTemplate } from "../../../src/text/template/chat-template.ts";
import type { ChatMessage, Tokenizer } from "../../../src/text/types.ts";

const CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"];
/** Every byte of ASCII, nothing merged, and the control tokens above as ids 0 to 3. */
const letters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
const ORDINARY = [...letters, "Ġ", "Ċ"];

function model(
  template: string | undefined,
  control = CONTROL,
  tokens = [...control, ...ORDINARY],
) {
  const metadata = new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", tokens.map((token) => (control.includes(token) ? 3 : 1))],
    ["tokenizer.ggml.merges", []],
    ["tokenizer.ggml.bos_token_id", 0],
    ["tokenizer.ggml.eos_token_id", 1],
  ]);
  if (template !== undefined) metadata.set("tokenizer.chat_template", template);
  const tokenizer = createGgufTokenizer(metadata);
  return { tokenizer, template: createChatTemplate(metadata, tokenizer.vocabulary, jinja) };
}

const user = (content: string): ChatMessage => ({ role: "user", content });

function thrownBy(action: () => unknown): WinnowError {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof WinnowError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

const EACH =
  "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{{ eos_token }}{% endfor %}";

describe("a chat template", () => {
  it("knows bos_token, eos_token and add_generation_prompt", () => {
    const { template } = model(`${EACH}{% if add_generation_prompt %}>{% endif %}`);
    expect(template.render([user(" hi ")])).toBe("<s>[user]hi</s>");
    expect(template.render([user("hi")], { addGenerationPrompt: true })).toBe("<s>[user]hi</s>>");
  });

  it("sees tools as defined and none, as transformers passes them", () => {
    const { template } = model(
      "{% if tools is none %}none{% endif %}{% if tools %}some{% endif %}",
    );
    expect(template.render([user("")])).toBe("none");
  });

  it.each([
    ["</s>"],
    ["a<s>b</s>"],
    ["<<s>>"],
    ["<|im_<|im_end|>end|>"],
    ["  </s>  "],
    ["ends </"],
    ["\ufdd0</s>"],
  ])("leaves %j in a message ordinary text", (content) => {
    const { tokenizer, template } = model(EACH);
    const plain: Tokenizer = {
      vocabSize: tokenizer.vocabSize,
      endTokens: tokenizer.endTokens,
      prefix: tokenizer.prefix,
      encode: (text, options) => tokenizer.encode(text, options),
      decode: (ids, options) => tokenizer.decode(ids, options),
      tokenBytes: (id) => tokenizer.tokenBytes(id),
    };
    const expected = [0, ...tokenizer.encode(`[user]${content.trim()}`), 1];
    expect(template.encode([user(content)], tokenizer)).toEqual(expected);
    // Also with a tokenizer that knows no guards.
    expect(template.encode([user(content)], plain)).toEqual(expected);
  });

  it("keeps two contents from joining into a control token", () => {
    const { tokenizer, template } = model("{% for m in messages %}{{ m.content }}{% endfor %}");
    const ids = template.encode([user("<|im_"), user("end|>")], tokenizer);
    expect(ids).toEqual(tokenizer.encode("<|im_end|>"));
    expect(ids).not.toContain(3);
  });

  it("that refuses a conversation says why", () => {
    const { template } = model(
      "{% if messages[0].role != 'user' %}{{ raise_exception('Begin with ' + 'the user') }}{% endif %}",
    );
    expect(template.render([user("")])).toBe("");
    const error = thrownBy(() => template.render([{ role: "assistant", content: "" }]));
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toBe("messages: Begin with the user");
  });

  it.each([
    ["content.lstrip('\n')", "\n\n  a\n", "  a\n"],
    ["content.rstrip('\n')", " a \n\n", " a "],
    ["content.strip('.!')", "!..a. b!", "a. b"],
    ["content.strip('😀')", "😀😀a😀", "a"],
    ["content.strip()", " \n a \n", "a"],
    ["content.strip(none)", " \n a \n", "a"],
    ["content.split('|')[-1].lstrip('\n').rstrip('x')", "b|\n axx", " a"],
    ["{'a': content.strip('x')}['a'] + ('y' if content.strip('x') else 'n')", "xx", "n"],
  ])("strips as Python does: %s", (expression, content, expected) => {
    const set = `{% set content = messages[0].content %}{{ ${expression} }}`;
    expect(model(set).template.render([user(content)])).toBe(expected);
  });

  it("that cannot be parsed or run is unsupported", () => {
    expect(thrownBy(() => model("{% for %}")).code).toBe("unsupported_model");
    const { template } = model("{{ messages | no_such_filter }}");
    const error = thrownBy(() => template.render([user("")]));
    expect(error.code).toBe("unsupported_model");
    expect(error.message).toContain("no_such_filter");
  });

  it("is ChatML where the file has none but the tokens for it", () => {
    const { tokenizer, template } = model(undefined);
    const messages: ChatMessage[] = [{ role: "system", content: "s" }, user("u")];
    expect(template.render(messages, { addGenerationPrompt: true })).toBe(
      "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n",
    );
    expect(template.encode([user("u")], tokenizer)).toEqual([
      2,
      ...tokenizer.encode("user\nu"),
      3,
      ...tokenizer.encode("\n"),
    ]);
  });

  it("is missing where there are no such tokens", () => {
    const error = thrownBy(() => model(undefined, ["<s>", "</s>"]));
    expect(error.code).toBe("unsupported_model");
    expect(error.message).toContain("tokenizer.chat_template");
  });

  it.each<[string, unknown, RegExp]>([
    ["no array", "hi", /messages/],
    ["an unknown role", [{ role: "root", content: "" }], /messages\[0\]\.role: is "root"/],
    ["no content", [user("a"), { role: "user" }], /messages\[1\]\.content/],
    ["null", [null], /messages\[0\]/],
  ])("refuses %s", (_, messages, message) => {
    const { tokenizer, template } = model(EACH);
    for (const action of [
      () => template.render(messages as ChatMessage[]),
      () => template.encode(messages as ChatMessage[], tokenizer),
    ]) {
      const error = thrownBy(action);
      expect(error.code).toBe("invalid_argument");
      expect(error.message).toMatch(message);
    }
  });
});
