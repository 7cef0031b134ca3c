import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { create } from "webgpu";
import { constrain, type Format } from "../../../src/constraint/constrain.ts";
import type { Constraint } from "../../../src/constraint/constraint.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { seededRandom } from "../../../src/random.ts";
import { checkedSchemas, holdTo } from "../../reference/schemas/checked-schemas.ts";
import { type AskOptions, ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";
import { watchedGpu } from "../watched-gpu.ts";

let engine: InferenceEngine;
const prompt = someTokens(40, 1);
const HOT = { temperature: 1, seed: 5 };

/** Much of it is known beforehand. */
const PERSON = {
  type: "object",
  properties: {
    "the name of the person": { type: "string", minLength: 2, maxLength: 6 },
    "how old the person is": { type: "integer", minimum: 0, maximum: 120 },
    "whether the person is well": { type: "boolean" },
  },
  required: ["the name of the person", "how old the person is", "whether the person is well"],
  additionalProperties: false,
};
const person: Format = { type: "json_schema", schema: PERSON };
const isPerson = new Ajv2020().compile(PERSON);

const held = (to: InferenceEngine, format: Format = person): Constraint =>
  constrain(to.tokenizer, format);

async function answer(options: AskOptions = {}, to = engine, turn = prompt) {
  const chat = freshChat(to);
  const constraint = options.constraint ?? held(to);
  const asked = { maxTokens: 200, sampling: HOT, ...options, constraint };
  const { answer, result } = await ask(chat, turn, asked);
  return { chat, answer, text: to.tokenizer.decode(answer), finish: result?.finish };
}

beforeAll(async () => {
  engine = await loadTinyEngine({ budget: "full" });
  await engine.internals.state.runner.compiled({ drafts: true });
  await engine.internals.prepareGuesses();
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

describe("an answer to a schema", () => {
  test.each([0, 1, 5])("is valid, and ends by itself, at temperature %i", async (temperature) => {
    for (let seed = 0; seed < 3; seed += 1) {
      const { text, finish } = await answer({ sampling: { temperature, seed } });
      expect(finish).toBe("stop");
      expect(isPerson(JSON.parse(text)), text).toBe(true);
    }
  });

  test("has the same tokens whether steps run ahead, or several tokens in one, or not", async () => {
    const { answer: expected } = await answer({ ahead: true, speculative: "off" });
    expect((await answer({ ahead: false, speculative: "off" })).answer).toEqual(expected);
    expect((await answer({ speculative: "lookup" })).answer).toEqual(expected);
    // What comes before makes for guesses.
    const turn = [...prompt, ...expected, ...prompt];
    const plain = await answer({ speculative: "off" }, engine, turn);
    expect((await answer({ speculative: "lookup" }, engine, turn)).answer).toEqual(plain.answer);
  });

  test("takes what is known beforehand in steps of several tokens", async () => {
    const { runner } = engine.internals.state;
    const submit = runner.submitDraft.bind(runner);
    let together = 0;
    runner.submitDraft = (...args) => {
      together += args[2].length;
      submit(...args);
    };
    try {
      const { answer: tokens } = await answer({ speculative: "off" });
      expect(together).toBeGreaterThan(tokens.length / 2);
    } finally {
      runner.submitDraft = submit;
    }
  });

  test("stays as it is beside another one that runs at the same time", async () => {
    const alone = await answer({ speculative: "off" });
    const other = await answer(
      { speculative: "off", sampling: { ...HOT, seed: 9 } },
      engine,
      someTokens(30, 8),
    );
    const [first, second] = await Promise.all([
      answer({ speculative: "off" }),
      answer({ speculative: "off", sampling: { ...HOT, seed: 9 } }, engine, someTokens(30, 8)),
    ]);
    expect(first.answer).toEqual(alone.answer);
    expect(second.answer).toEqual(other.answer);
  });

  test("penalties hold within what is allowed", async () => {
    const sampling = { ...HOT, repetitionPenalty: 1.3, frequencyPenalty: 2, presencePenalty: -2 };
    const plain = await answer({ sampling, speculative: "off", ahead: false });
    expect(isPerson(JSON.parse(plain.text))).toBe(true);
    expect((await answer({ sampling })).answer).toEqual(plain.answer);
  });

  test("is brought to its end within max_tokens, and says so", async () => {
    const schema = { type: "object", properties: { a: { type: "string", minLength: 200 } } };
    const format: Format = {
      type: "json_schema",
      schema: { ...schema, required: ["a"], additionalProperties: false },
    };
    const long = (options: AskOptions) =>
      answer({ maxTokens: 230, constraint: held(engine, format), ...options });
    const { answer: tokens, text, finish } = await long({});
    expect(finish).toBe("length");
    expect(tokens.length).toBeLessThanOrEqual(230);
    expect(JSON.parse(text).a.length).toBeGreaterThanOrEqual(200);
    const plain = await long({ ahead: false, speculative: "off" });
    expect(plain.answer).toEqual(tokens);
    const roomy = await answer({ maxTokens: 199 });
    expect([roomy.finish, roomy.answer]).toEqual(["stop", (await answer()).answer]);
  });

  test("is a beginning of what it would be where max_tokens is too few for any", async () => {
    const whole = await answer();
    const part = await answer({ maxTokens: 20 });
    expect(part.finish).toBe("length");
    expect(part.answer).toEqual(whole.answer.slice(0, 20));
  });

  test("leaves the chat usable where it is aborted, and the next turn reads what is new alone", async () => {
    const controller = new AbortController();
    const chat = freshChat(engine);
    let said: number[] = [];
    const aborted = ask(chat, prompt, {
      maxTokens: 200,
      sampling: HOT,
      constraint: held(engine),
      signal: controller.signal,
      onToken: (token, count) => {
        said = [...said, token];
        if (count === 9) controller.abort();
        return undefined;
      },
    });
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    const next = [...prompt, ...said, 5, 6, 7];
    const { result } = await ask(chat, next, { maxTokens: 4, constraint: held(engine) });
    expect(result?.cachedTokens).toBeGreaterThanOrEqual(prompt.length + said.length - 1);
    expect(result?.finish).toBe("length");
  });

  test("is valid while the cache evicts", async () => {
    for (const policy of ["q-filters", "streaming-llm", "h2o"] as const) {
      const chat = await freshChat(engine, { budget: 32, policy, sinks: 2, window: 8 });
      const { answer: tokens } = await ask(chat, prompt, {
        maxTokens: 200,
        sampling: HOT,
        constraint: held(engine),
      });
      expect(isPerson(JSON.parse(engine.tokenizer.decode(tokens)))).toBe(true);
      expect(chat.usage().pairsEvicted).toBeGreaterThan(0);
    }
  });

  test("goes on where a lost device left it", async () => {
    const expected = await answer();
    const watched = watchedGpu(create([]));
    const own = await loadTinyEngine({ budget: "full" }, { gpu: watched.gpu });
    try {
      for (const [at, ahead] of [[3, true]] as const) {
        const { answer: tokens } = await answer(
          {
            ahead,
            onToken: (_, count) => {
              if (count === at) watched.device().destroy();
              return undefined;
            },
          },
          own,
        );
        expect(tokens).toEqual(expected.answer);
      }
      expect(watched.devices()).toBe(2);
    } finally {
      own.close();
    }
  });
});

test("40 random schemas: an answer is valid, or the schema is refused beforehand", async () => {
  let [ended, refused] = [0, 0];
  for (const [seed, one] of [...checkedSchemas(seededRandom(21), 40)].entries()) {
    const constraint = holdTo(engine.tokenizer, one);
    if (!constraint) {
      refused += 1;
      continue;
    }
    const { text, finish } = await answer({ constraint, sampling: { temperature: 1, seed } });
    if (finish !== "stop") continue;
    ended += 1;
    expect(one.fault(text)).toBeUndefined();
  }
  expect(refused).toBeLessThan(10);
  expect(ended).toBeGreaterThan(20);
});

describe("other formats", () => {
  test("a JSON object of any kind", async () => {
    for (let seed = 0; seed < 4; seed += 1) {
      const constraint = held(engine, { type: "json_object" });
      const { text, finish } = await answer({
        constraint,
        maxTokens: 400,
        sampling: { temperature: 1, seed },
      });
      if (finish === "stop") expect(typeof JSON.parse(text)).toBe("object");
      expect(text.startsWith("{")).toBe(true);
    }
  });

  test("a regular expression, and a grammar", async () => {
    const pattern = "(?:Monday|Tuesday), \\d{1,2}:[0-5]\\d";
    const day = await answer({ constraint: held(engine, { type: "regex", pattern }) });
    expect(day.text).toMatch(new RegExp(`^${pattern}$`));
    const grammar = 'root ::= item ("; " item){2}\nitem ::= [a-c]+ "=" ("yes" | "no")';
    for (let seed = 0; seed < 3; seed += 1) {
      const list = await answer({
        constraint: held(engine, { type: "grammar", grammar }),
        sampling: { temperature: 1, seed },
      });
      expect(list.text).toMatch(/^[a-c]+=(yes|no)(; [a-c]+=(yes|no)){2}$/);
      expect(list.finish).toBe("stop");
    }
  });
});

test("answers without a format are as they were, before and after one with", async () => {
  const before = await ask(freshChat(engine), prompt, { sampling: HOT });
  await answer();
  expect(await ask(freshChat(engine), prompt, { sampling: HOT })).toEqual(before);
});
