import { describe, expect, it } from "vitest";
import { readFilters } from "../../../src/cache/filters-file.ts";
import type { CommandContext, CommandFiles, FlagValues } from "../../../src/cli/command.ts";
import { bench } from "../../../src/cli/commands/bench.ts";
import { calibrateCommand } from "../../../src/cli/commands/calibrate.ts";
import { generate } from "../../../src/cli/commands/generate.ts";
import { logits } from "../../../src/cli/commands/logits.ts";
import { needle } from "../../../src/cli/commands/needle.ts";
import { ppl } from "../../../src/cli/commands/ppl.ts";
import { CONVERSATION } from "../../../src/cli/defaults.ts";
import { byteTokenizer, FakeEngine } from "../api/api-fake-engine.ts";

const TEXT = `${"Some sentence of hay. ".repeat(60)}The end.`;
const files: CommandFiles = {
  readText: async (_flag, path) => (path === "empty" ? "" : TEXT),
  readIfThere: async () => "",
  checkWritable: async () => {},
  version: async () => "0",
  commandLine: "winnow",
  readBytes: async () => new TextEncoder().encode(TEXT),
  listModels: async () => [],
  removeModel: async () => false,
};

const context = (engine: object, report: CommandContext["report"] = () => {}): CommandContext => ({
  engine: engine as CommandContext["engine"],
  modelSha256: "abc",
  report,
  append: async () => {},
  signal: new AbortController().signal,
});

async function run<Input>(
  command: {
    read(flags: FlagValues, files: CommandFiles): Promise<Input>;
    run(
      input: Input,
      c: CommandContext,
    ): Promise<{ json: Record<string, unknown>; files?: Record<string, Uint8Array> }>;
  },
  flags: Record<string, string | boolean>,
  engine: object,
  report?: CommandContext["report"],
) {
  const values = Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, [value]]));
  return command.run(await command.read(values, files), context(engine, report));
}

/** A fake whose conversation also scores texts: -ln p = position / 10. */
class ScoringEngine extends FakeEngine {
  readonly scored: { tokens: number[]; chunk: number }[] = [];
  override conversation(id: string) {
    return Object.assign(super.conversation(id), {
      nll: async (tokens: number[], { chunk }: { chunk: number }) => {
        this.scored.push({ tokens, chunk });
        return Float64Array.from(tokens.slice(1), (_, i) => i / 10);
      },
      logits: async (tokens: number[]) =>
        Float32Array.from({ length: 257 }, (_, id) => (id === tokens[0] ? 9 : id % 7)),
    });
  }
}

/** The same engine, for a model that wants token 250 in front of a text. */
const withPrefix = <E extends FakeEngine>(engine: E): E =>
  Object.assign(engine, { tokenizer: { ...byteTokenizer, prefix: [250] } });

describe("winnow ppl", () => {
  it("scores tokens [K, K + N) of the whole text and exponentiates the mean", async () => {
    const engine = new ScoringEngine();
    const { json } = await run(ppl, { text: "f", tokens: "5", offset: "7" }, engine);
    expect(engine.scored).toEqual([{ tokens: byteTokenizer.encode(TEXT).slice(7, 12), chunk: 1 }]);
    expect(json.nll).toEqual([0, 0.1, 0.2, 0.3]);
    expect(json.ppl).toBeCloseTo(Math.exp(0.15), 12);
    expect(json).toMatchObject({ tokens: 5, cache: { budget: 512 } });
    expect(json).toHaveProperty("adapter");
  });

  it("puts the model's first token in front where --bos asks for it, and predicts the same tokens", async () => {
    const engine = new ScoringEngine();
    const flags = { text: "f", tokens: "5", offset: "7", bos: true };
    const { json } = await run(ppl, flags, withPrefix(engine));
    const tokens = byteTokenizer.encode(TEXT).slice(7, 12);
    expect(engine.scored).toEqual([{ tokens: [250, ...tokens], chunk: 1 }]);
    expect(json.nll).toEqual([0.1, 0.2, 0.3, 0.4]);
  });

  it("refuses a text that is too short, saying how long it is", async () => {
    const request = run(ppl, { text: "empty", tokens: "5" }, new ScoringEngine());
    await expect(request).rejects.toThrow("--text: has 0 tokens; offset 0 + tokens 5 need 5");
  });
});

describe("winnow logits", () => {
  it("sorts by logit, then by id", async () => {
    const { json } = await run(logits, { tokens: "42, 7", top: "3" }, new ScoringEngine());
    expect(json.top).toEqual([
      [42, 9],
      [6, 6],
      [13, 6],
    ]);
  });

  it("refuses ids the model has not", async () => {
    await expect(run(logits, { tokens: "1,257" }, new ScoringEngine())).rejects.toThrow(
      "257 is no token",
    );
  });
});

describe("winnow generate", () => {
  it("continues the prompt as it is, or as a chat", async () => {
    const engine = new FakeEngine();
    const plain = await run(generate, { prompt: "ab", "max-tokens": "3" }, engine);
    expect(plain.json).toMatchObject({ text: "hel", tokens: [104, 101, 108], prompt_tokens: 2 });
    const framed = await run(generate, { prompt: "ab" }, withPrefix(new FakeEngine()));
    expect(framed.json).toMatchObject({ text: "hello", prompt_tokens: 3 });
    const chat = await run(generate, { prompt: "ab", chat: true }, new FakeEngine());
    expect(chat.json).toMatchObject({ text: "hello", prompt_tokens: "<user>ab<assistant>".length });
    expect(Object.keys(chat.json)).toEqual([
      "text",
      "tokens",
      "prompt_tokens",
      "usage",
      "cache",
      "adapter",
    ]);
  });
});

/** Answers with the number it is asked for, if `knows`; keeps the prompts it saw. */
class ReadingEngine extends FakeEngine {
  readonly prompts: string[] = [];
  private readonly wrapped = new Set<object>();
  constructor(readonly knows: boolean) {
    super();
    this.contextLength = 4000;
  }
  override conversation(id: string) {
    const found = super.conversation(id);
    if (this.wrapped.has(found)) return found;
    this.wrapped.add(found);
    const original = found.generate.bind(found);
    return Object.assign(found, {
      generate: (...args: Parameters<typeof original>) => {
        const prompt = byteTokenizer.decode(args[0]);
        this.prompts.push(prompt);
        this.answer = this.knows ? `It is ${/number is (\d{5})/.exec(prompt)?.[1]}.` : "No idea.";
        return original(...args);
      },
    });
  }
}

describe("winnow needle", () => {
  const flags = { text: "f", context: "600", trials: "4", seed: "3" };

  it("hides one number a trial between sentences, and finds it in the answer", async () => {
    const engine = new ReadingEngine(true);
    const { json } = await run(needle, flags, engine);
    expect(json.accuracy).toBe(1);
    expect(engine.prompts).toHaveLength(4);
    for (const prompt of engine.prompts) {
      expect(prompt.match(/The secret number is \d{5}\. Remember it\./g)).toHaveLength(1);
      expect(prompt).toMatch(/What is the secret number/);
    }
    expect(new Set((json.trials as { number: string }[]).map(({ number }) => number)).size).toBe(4);
  });

  it("counts wrong answers, and repeats itself for the same seed", async () => {
    const first = await run(needle, flags, new ReadingEngine(false));
    const second = await run(needle, flags, new ReadingEngine(false));
    expect(first.json.accuracy).toBe(0);
    expect(first.json.trials).toEqual(second.json.trials);
  });

  it("reads the text alone first with --ask after", async () => {
    const engine = new ReadingEngine(true);
    await run(needle, { ...flags, trials: "1", ask: "after" }, engine);
    expect(engine.prompts).toHaveLength(2);
    expect(engine.prompts[0]).not.toMatch(/What is/);
    expect(engine.prompts[1]?.startsWith(engine.prompts[0] ?? "?")).toBe(true);
  });
});

describe("past the trained length", () => {
  it("a needle is hidden and found under a budget, and refused without", async () => {
    const engine = new ReadingEngine(true);
    engine.contextLength = 300;
    const flags = { text: "f", context: "600", trials: "2" };
    await expect(run(needle, flags, engine)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("--context"),
      hint: expect.stringContaining("--budget"),
    });
    engine.endless = true;
    const { json } = await run(needle, flags, engine);
    expect(json.accuracy).toBe(1);
    expect(engine.prompts[0]!.length).toBeGreaterThan(600);
  });

  it("logits of more tokens are given under a budget, and refused without", async () => {
    const engine = Object.assign(new FakeEngine(), { contextLength: 3 });
    const chat = Object.assign(engine.conversation(CONVERSATION), {
      logits: async () => Float32Array.of(0, 2, 1),
    });
    expect(engine.conversation(CONVERSATION)).toBe(chat);
    const flags = { tokens: "1,2,3,4", top: "1" };
    await expect(run(logits, flags, engine)).rejects.toMatchObject({
      code: "invalid_argument",
      hint: expect.stringContaining("--budget"),
    });
    engine.endless = true;
    expect((await run(logits, flags, engine)).json.top).toEqual([[1, 2]]);
  });

  it("generate tells how far a long prompt is read, and nothing of a short one", async () => {
    const engine = Object.assign(new FakeEngine(), { contextLength: 4000 });
    const told: unknown[][] = [];
    const report = (...progress: unknown[]): void => void told.push(progress);
    await run(generate, { prompt: "a".repeat(100) }, engine, report);
    expect(told.every(([label]) => label === "generate")).toBe(true);
    await run(generate, { prompt: "b".repeat(500) }, engine, report);
    expect(told).toContainEqual(["reading the prompt", 0, 500]);
    expect(told).toContainEqual(["reading the prompt", 500, 500]);
  });
});

describe("winnow calibrate", () => {
  it("cuts texts into sequences and writes filters in the published format", async () => {
    const shape = {
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 8,
      frequencies: [new Float64Array(4), new Float64Array(4)],
    };
    const sequences: number[][] = [];
    const engine = Object.assign(new FakeEngine(), {
      contextLength: 500,
      shape,
      async *captureHeads(tokens: number[]) {
        sequences.push(tokens);
        const width = shape.heads * shape.headDim;
        for (let layer = 0; layer < shape.layers; layer++) {
          const queries = Float32Array.from({ length: tokens.length * width }, (_, i) =>
            i % 8 === layer ? 3 : Math.sin(i),
          );
          yield { layer, rows: tokens.length, start: 0, queries };
        }
      },
      rereadAttention: async () => [],
    });
    const flags = { text: "f", samples: "700", sequences: "2", out: "o.safetensors" };
    const { json, files: written } = await run(calibrateCommand, flags, engine);
    expect(sequences.map(({ length }) => length)).toEqual([500, 500]);
    expect(sequences.flat()).toEqual(byteTokenizer.encode(TEXT).slice(0, 1000));
    expect(json).toMatchObject({ layers: 2, kv_heads: 2, head_dim: 8 });
    const filters = readFilters(written!["o.safetensors"]!);
    expect(filters).toMatchObject({
      layers: 2,
      kvHeads: 2,
      headDim: 8,
      modelSha256: "abc",
      samples: 700,
    });
    // Stored with the negative sign: the direction all queries share comes out as -1.
    for (let head = 0; head < 4; head++) {
      expect(filters.values[head * 8 + Math.floor(head / 2)]).toBeLessThan(-0.9);
    }
  });
});

describe("bench", () => {
  const read = (flags: Record<string, string | boolean>) =>
    bench.read(
      Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, [value]])),
      files,
    );

  it("times the adapter's own kernels unless a plan is named", async () => {
    expect(await read({ kernels: true })).toMatchObject({
      kernels: true,
      eviction: false,
      layouts: false,
      plans: undefined,
      histories: [512, 2048],
    });
    expect(await read({ eviction: true, plan: "gpu" })).toMatchObject({
      plans: ["gpu"],
      prompts: [512, 2048],
      budget: 512,
    });
    expect(await read({ kernels: true, plan: "both" })).toMatchObject({ plans: ["cpu", "gpu"] });
  });

  it.each([
    [{}, "--kernels: or --eviction or --shape is required"],
    [{ eviction: true, layouts: true }, "--layouts: belongs to --kernels"],
    [{ kernels: true, prompts: "512" }, "--prompts: belongs to --eviction or --shape"],
    [{ kernels: true, budget: "512" }, "--budget: belongs to --eviction or --shape"],
    [{ kernels: true, plan: "tpu" }, "--plan: must be one of cpu, gpu, both"],
    [{ eviction: true, prompts: "64" }, "--prompts: must be numbers of tokens from 128 on"],
  ])("refuses %j", async (flags, message) => {
    await expect(read(flags)).rejects.toThrow(message);
  });
});
