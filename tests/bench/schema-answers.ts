import type { Constraint } from "../../src/constraint/constraint.ts";
import { GREEDY } from "../../src/engine/chat/generate-options.ts";
import type { InferenceEngine } from "../../src/engine/engine.ts";
import type { Lane, Lanes } from "../../src/engine/measuring/lanes.ts";
import { seededRandom, seedOf } from "../../src/random.ts";
import {
  type CheckedSchema,
  checkedSchemas,
  holdTo,
} from "../reference/schemas/checked-schemas.ts";
import { Journal } from "./journal.ts";

export interface Asked {
  schemas: number;
  /** Answers to each schema. */
  seeds: number;
  maxTokens: number;
  /** A file for results. */
  journal: string | undefined;
  /** Answers that step together; 0: one after another, through a conversation. */
  lanes: number;
}

/** What came of a schema, or of an answer to it: valid, also where it was hurried to its end; cut where tokens were too few for any. */
type Outcome = "refused" | "valid" | "hurried" | "cut" | "invalid";

/** One answer that is wanted. */
interface Question {
  readonly name: string;
  readonly asked: CheckedSchema;
  readonly seed: number;
}

/** An answer, and whether its constraint or the model ended it, or the number of tokens. */
interface Answer {
  readonly ids: readonly number[];
  readonly finish: "stop" | "length";
}

type Ask = (question: Question, constraint: Constraint) => Promise<Answer>;

/** Answers random schemas at temperature 1 and checks each; 1 where one is invalid. */
export async function answers(engine: InferenceEngine, asked: Asked): Promise<number> {
  const journal = new Journal<Outcome>(asked.journal);
  const counts = { refused: 0, valid: 0, hurried: 0, cut: 0, invalid: 0 };
  const schemas = [...checkedSchemas(seededRandom(11), asked.schemas)];
  const questions = Array.from({ length: asked.seeds }, (_, seed) =>
    schemas.map((one, i): Question => ({ name: `${i} ${seed}`, asked: one, seed })),
  ).flat();
  const prompt = engine.tokenizer.encode("Make up some data in JSON.\n");
  const [begin, spent] = [performance.now(), process.cpuUsage()];
  let tokens = 0;
  const outcomeOf = async (question: Question, ask: Ask): Promise<Outcome> => {
    const constraint = holdTo(engine.tokenizer, question.asked);
    if (!constraint) return "refused";
    const { ids, finish } = await ask(question, constraint);
    tokens += ids.length;
    const fault = question.asked.fault(engine.tokenizer.decode([...ids]));
    if (!fault) return finish === "length" ? "hurried" : "valid";
    if (finish === "length") return "cut";
    console.log(question.name, fault);
    return "invalid";
  };
  const answerAll = async (ask: Ask): Promise<void> => {
    for (let question = questions.shift(); question; question = questions.shift()) {
      const one = question;
      const outcome = await journal.of(one.name, () => outcomeOf(one, ask));
      counts[outcome] += 1;
      if (outcome !== "refused")
        console.error(`${one.name}: ${outcome}, ${JSON.stringify(counts)}`);
    }
  };
  if (asked.lanes === 0) await answerAll(alone(engine, prompt, asked.maxTokens));
  else
    await engine.lanes(asked.lanes, async (lanes) => {
      const together = await Together.start(engine, lanes, prompt, asked);
      await Promise.all(
        Array.from({ length: asked.lanes }, async () => {
          await answerAll((question, constraint) => together.answer(question, constraint));
          together.leave();
        }),
      );
    });
  const { user, system } = process.cpuUsage(spent);
  console.log(
    JSON.stringify(counts),
    `${tokens} tokens, each ${((performance.now() - begin) / tokens).toFixed(0)} ms, of the processor ${((user + system) / 1000 / tokens).toFixed(0)} ms`,
  );
  return counts.invalid === 0 ? 0 : 1;
}

/** As apps have answers. */
function alone(engine: InferenceEngine, prompt: readonly number[], maxTokens: number): Ask {
  return async ({ seed }, constraint) => {
    engine.internals.holders.clear();
    const chat = engine.conversation("answers");
    const sampling = { ...GREEDY, temperature: 1, seed };
    const drawn = chat.generate(prompt, { sampling, maxTokens, constraint });
    const ids: number[] = [];
    for (;;) {
      const step = await drawn.next();
      if (!step.done) ids.push(step.value);
      else {
        await chat.reset();
        return { ids, finish: step.value.finish === "stop" ? "stop" : "length" };
      }
    }
  };
}

/** An answer that waits for its next token. */
interface Writing {
  readonly lane: Lane;
  token: number;
  readonly resolve: (logits: Float32Array) => void;
  readonly reject: (error: unknown) => void;
}

/** Answers in lanes: a step runs once each of them has drawn its token or has left. */
class Together {
  private readonly engine: InferenceEngine;
  private readonly lanes: Lanes;
  /** Where the prompt has been read, and the logits [V] behind it. */
  private readonly prompt: Lane;
  private readonly first: Float32Array;
  private readonly maxTokens: number;
  private present: number;
  private waiting: Writing[] = [];

  static async start(
    engine: InferenceEngine,
    lanes: Lanes,
    prompt: readonly number[],
    { lanes: most, maxTokens }: Asked,
  ): Promise<Together> {
    const lane = await lanes.add({ policy: "full" });
    const logits = await lanes.prefill(lane, prompt);
    return new Together(engine, lanes, lane, logits, most, maxTokens);
  }

  private constructor(
    engine: InferenceEngine,
    lanes: Lanes,
    prompt: Lane,
    first: Float32Array,
    present: number,
    maxTokens: number,
  ) {
    this.engine = engine;
    this.lanes = lanes;
    this.prompt = prompt;
    this.first = first;
    this.present = present;
    this.maxTokens = maxTokens;
  }

  async answer({ name }: Question, constraint: Constraint): Promise<Answer> {
    const { vocabSize, endTokens } = this.engine.tokenizer;
    const random = seededRandom(seedOf(name));
    const mask = new Uint32Array(Math.ceil(vocabSize / 32));
    const lane = this.lanes.fork(this.prompt);
    try {
      const ids: number[] = [];
      for (let logits = this.first; ; logits = await this.step(lane, ids.at(-1)!)) {
        constraint.mask(mask, this.maxTokens - ids.length);
        const token = draw(logits, mask, random);
        if (endTokens.has(token)) return { ids, finish: "stop" };
        ids.push(token);
        constraint.accept(token);
        if (constraint.over) return { ids, finish: constraint.hurried ? "length" : "stop" };
        if (ids.length === this.maxTokens) return { ids, finish: "length" };
      }
    } finally {
      this.lanes.remove(lane);
    }
  }

  /** One that answers nothing more: the others do not wait for it. */
  leave(): void {
    this.present -= 1;
    this.go();
  }

  private step(lane: Lane, token: number): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ lane, token, resolve, reject });
      this.go();
    });
  }

  private go(): void {
    if (this.waiting.length === 0 || this.waiting.length < this.present) return;
    const together = this.waiting;
    this.waiting = [];
    const done = (logits: readonly Float32Array[]): void => {
      for (const [i, { resolve }] of together.entries()) resolve(logits[i]!);
    };
    const failed = (error: unknown): void => {
      for (const { reject } of together) reject(error);
    };
    this.lanes.step(together, { logits: true }).then(({ logits }) => done(logits), failed);
  }
}

/** A token at temperature 1, of those that `mask` allows. logits [V]. */
function draw(logits: Float32Array, mask: Uint32Array, random: () => number): number {
  const allowed: number[] = [];
  let most = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id += 1)
    if ((mask[id >>> 5]! >>> (id & 31)) & 1) {
      allowed.push(id);
      most = Math.max(most, logits[id]!);
    }
  const weights = allowed.map((id) => Math.exp(logits[id]! - most));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return allowed[i]!;
  }
  return allowed.at(-1)!;
}
