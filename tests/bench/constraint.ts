import { create, globals } from "webgpu";
import { median } from "../../src/cli/bench/statistics.ts";
import { constrainCalls } from "../../src/constraint/calls/constrain-calls.ts";
import { SYNTAXES } from "../../src/constraint/calls/syntaxes.ts";
import { constrain, type Format } from "../../src/constraint/constrain.ts";
import type { Constraint } from "../../src/constraint/constraint.ts";
import { GREEDY } from "../../src/engine/chat/generate-options.ts";
import { InferenceEngine } from "../../src/engine/engine.ts";
import { MemorySource } from "../../src/formats/blob-source.ts";
import type { ByteSource } from "../../src/formats/byte-source.ts";
import { NodeFileSource } from "../../src/formats/node-source.ts";
import { easeWaits } from "../../src/node/dawn-waits.ts";
import { seededRandom } from "../../src/random.ts";
import type { Tokenizer } from "../../src/text/types.ts";
import { SMOLLM2_SHAPE } from "../reference/tiny-model/smollm2-shape.ts";
import {
  CHAT_TEMPLATE,
  TINY_VOCAB,
  tinyGguf,
  tinyModel,
} from "../reference/tiny-model/tiny-model.ts";
import { answers } from "./schema-answers.ts";

const USAGE = `usage: node tests/bench/constraint.mjs masks|times|answers MODEL.gguf|tiny|random:V [SCHEMAS] [SEEDS] [TOKENS] [JOURNAL] [LANES]
           random:V: random weights in SmolLM2's shape, with a vocabulary of V
  masks    milliseconds of a mask and of compiling, at the model's vocabulary and at larger ones made of it
  times    milliseconds of a token with a schema and without, in turns: by the clock, and of the processor, whose part a
           busy machine does not change (all of it where the adapter is software)
  answers  SCHEMAS (300) random schemas with SEEDS (3) each, temperature 1, at most TOKENS (400): all valid?
           JOURNAL: a file for results; a run that was broken off goes on from it
           LANES (32): so many answers step together, each with the bits that it has alone, and are drawn on the processor;
           0: one after another, as apps have them, drawn by the sampler's kernel`;

export async function main([
  what = "--help",
  path = "tiny",
  schemas = "300",
  seeds = "3",
  tokens = "400",
  journal,
  lanes = "32",
]: readonly string[]): Promise<number> {
  const kinds = {
    masks,
    times,
    answers: (engine: InferenceEngine) =>
      answers(engine, {
        schemas: Number(schemas),
        seeds: Number(seeds),
        maxTokens: Number(tokens),
        journal: journal || undefined,
        lanes: Number(lanes),
      }),
  };
  if (!Object.hasOwn(kinds, what)) {
    console.log(USAGE);
    return what === "--help" ? 0 : 1;
  }
  Object.assign(globalThis, globals);
  easeWaits(GPUQueue, GPUBuffer);
  const engine = await InferenceEngine.load(create([]), {
    source: await sourceOf(path),
    name: path,
    cache: { policy: "full" },
  });
  try {
    return await kinds[what as keyof typeof kinds](engine);
  } finally {
    await engine.close();
  }
}

async function sourceOf(path: string): Promise<ByteSource> {
  if (path === "tiny") return new MemorySource(tinyModel("f32"), "tiny.gguf");
  const [, size] = /^random:(\d+)$/.exec(path) ?? [];
  if (size === undefined) return NodeFileSource.open(path);
  const text = { template: CHAT_TEMPLATE, words: Number(size) - TINY_VOCAB };
  return new MemorySource(tinyGguf("random", SMOLLM2_SHAPE, 2048, text), "random.gguf");
}

/** 50 properties of five kinds. */
const FIFTY = {
  type: "object",
  properties: Object.fromEntries(
    Array.from({ length: 50 }, (_, i) => [
      `field_${i}`,
      [
        { type: "string", maxLength: 40 },
        { type: "integer", minimum: 0, maximum: 1000 },
        { enum: ["red", "green", "blue"] },
        { type: "array", items: { type: "number" }, maxItems: 5 },
        { type: "boolean" },
      ][i % 5],
    ]),
  ),
  required: Array.from({ length: 50 }, (_, i) => `field_${i}`),
  additionalProperties: false,
};

/** Offered to answers that may call one or speak. */
const TOOLS = ["get_weather", "send_email"].map((name, i) => ({
  name,
  parameters: FIFTY,
  field: `tools[${i}]`,
}));
const HERMES = SYNTAXES.find(({ name }) => name === "hermes")!;

async function masks({ tokenizer }: InferenceEngine): Promise<number> {
  for (const size of [tokenizer.vocabSize, 151_936, 262_144]) {
    const larger = enlarged(tokenizer, size);
    const [, vocabulary] = timed(() => constrain(larger, { type: "regex", pattern: "a" }));
    const [start, compile] = timed(() => constrain(larger, { type: "json_schema", schema: FIFTY }));
    const [first, again] = [walk(larger, start.fork(), 1), walk(larger, start.fork(), 2)];
    console.log(
      `${size} tokens: vocabulary ${vocabulary.toFixed(0)} ms, compile ${compile.toFixed(0)} ms, ` +
        `masks of a first answer ${told(first)}, of a second ${told(again)}`,
    );
    const auto = { mode: "auto", tools: TOOLS, parallel: true } as const;
    const [calls, ready] = timed(() => constrainCalls(larger, HERMES, auto));
    const [speaking, later] = [walk(larger, calls.fork(), 1), walk(larger, calls.fork(), 2)];
    console.log(
      `  tool_choice auto: compile ${ready.toFixed(0)} ms, masks of a first answer ${told(speaking)}, of a second ${told(later)}`,
    );
  }
  return 0;
}

/** What `work` gives, and the milliseconds of the processor that it takes: the machine may be busy. */
function timed<T>(work: () => T): [T, number] {
  const begin = process.cpuUsage();
  const result = work();
  const { user, system } = process.cpuUsage(begin);
  return [result, (user + system) / 1000];
}

/** Milliseconds of each mask of a text that is drawn at random. */
function walk({ vocabSize, endTokens }: Tokenizer, constraint: Constraint, seed: number): number[] {
  const random = seededRandom(seed);
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  const times: number[] = [];
  while (times.length < 1000 && !constraint.over) {
    times.push(timed(() => constraint.mask(mask))[1]);
    const allowed: number[] = [];
    for (let id = 0; id < vocabSize; id += 1)
      if ((mask[id >>> 5]! >>> (id & 31)) & 1 && !endTokens.has(id)) allowed.push(id);
    if (allowed.length === 0) break;
    const [, accept] = timed(() =>
      constraint.accept(allowed[Math.floor(random() * allowed.length)]!),
    );
    times[times.length - 1]! += accept;
  }
  return times;
}

const told = (times: readonly number[]): string => {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(2);
  const mean = times.reduce((sum, one) => sum + one, 0) / times.length;
  return `${times.length}: median ${at(0.5)}, mean ${mean.toFixed(2)}, 99 % ${at(0.99)}, most ${at(1)} ms`;
};

/** A vocabulary with pairs of the tokens of another one besides. */
function enlarged(tokenizer: Tokenizer, size: number): Tokenizer {
  if (size <= tokenizer.vocabSize) return tokenizer;
  const random = seededRandom(1);
  const some = (): Uint8Array => tokenizer.tokenBytes(Math.floor(random() * tokenizer.vocabSize));
  const more = Array.from({ length: size - tokenizer.vocabSize }, () =>
    Uint8Array.from([...some(), ...some()]),
  );
  return {
    vocabSize: size,
    endTokens: tokenizer.endTokens,
    prefix: [],
    encode: (text) => tokenizer.encode(text),
    decode: (ids) => tokenizer.decode(ids),
    tokenBytes: (id) =>
      id < tokenizer.vocabSize ? tokenizer.tokenBytes(id) : more[id - tokenizer.vocabSize]!,
  };
}

const WORDS: Format = {
  type: "json_schema",
  schema: {
    type: "object",
    properties: {
      title: { type: "string", maxLength: 60 },
      text: { type: "string", minLength: 400 },
    },
    required: ["title", "text"],
  },
};
/** Tokens of an answer whose time is taken. */
const TIMED = 20;
const ROUNDS = 4;

async function times(engine: InferenceEngine): Promise<number> {
  const prompt = engine.tokenizer.encode(
    "Tell me of a day at the sea, with all that happened, as JSON.\n",
  );
  // Long enough by its bounds, whatever the model.
  const cases = { plain: undefined, schema: WORDS };
  const found = new Map(Object.keys(cases).map((name) => [name, [] as Cost[]]));
  for (let round = -1; round < ROUNDS; round += 1)
    for (const [name, format] of Object.entries(cases)) {
      const cost = await costPerToken(engine, prompt, format, round);
      if (round >= 0) found.get(name)!.push(cost);
      console.error(
        `round ${round}: ${name} ${cost.clock.toFixed(1)}, ${cost.processor.toFixed(1)} ms`,
      );
    }
  for (const kind of ["clock", "processor"] as const) {
    const plain = median(found.get("plain")!.map((cost) => cost[kind]));
    for (const [name, costs] of found) {
      const ms = costs.map((cost) => cost[kind]);
      console.log(
        `${kind}, ${name}: ${median(ms).toFixed(2)} ms per token, ${(median(ms) / plain).toFixed(3)} times plain (${ms.map((one) => one.toFixed(1)).join(", ")})`,
      );
    }
  }
  return 0;
}

/** Milliseconds. */
interface Cost {
  clock: number;
  processor: number;
}

async function costPerToken(
  engine: InferenceEngine,
  prompt: readonly number[],
  format: Format | undefined,
  seed: number,
): Promise<Cost> {
  engine.internals.holders.clear();
  const constraint = format && constrain(engine.tokenizer, format);
  const ids = engine.conversation(`times ${seed} ${format?.type}`).generate(prompt, {
    sampling: { ...GREEDY, temperature: 0.7, seed: seed + 1 },
    maxTokens: TIMED + 9,
    speculative: "off",
    constraint,
  });
  let [count, begin, spent] = [0, 0, process.cpuUsage()];
  for await (const _ of ids) {
    count += 1;
    if (count === 8) [begin, spent] = [performance.now(), process.cpuUsage()];
  }
  const clock = (performance.now() - begin) / (count - 8);
  const { user, system } = process.cpuUsage(spent);
  return { clock, processor: (user + system) / 1000 / (count - 8) };
}
