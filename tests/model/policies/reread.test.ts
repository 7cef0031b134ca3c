/**
 * Prompts that are read twice, on the tiny model, against a simulation in fp32 PyTorch (oracle_reread.py): the attention that a second
 * reading pays, what is kept by it of a prompt, of a second one and of a prompt in two blocks, and that nothing else of it stays.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RereadLoss } from "../../../calibrate/attention/reread-loss.ts";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { readCalibration } from "../../../src/cache/filters-file.ts";
import { headBudgets, ofBothReadings } from "../../../src/cache/sequence/head-budgets.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import { writeCalibration } from "../../../src/cache/write-filters.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { LossReader } from "../../../src/engine/measuring/loss-reader.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { BlobSource, MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";
import { expectKept, expectRun, type Fixture, type Positions } from "./oracle-run.ts";

interface RereadFixture extends Fixture {
  document: number[];
  /** [L][G][N] */
  attention: number[][][];
  budgets: number[];
  /** [L][G][B] */
  roots: number[][][];
  sharpened: number[][][];
  heads: number[][];
  blocks: { tokens: number[]; prompt: Positions; doubtful: Positions; nll: number[] };
}

const file = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const fixture: RereadFixture = JSON.parse(file("reread-tiny.json").toString());
const reread = {
  budgets: fixture.budgets,
  values: Float32Array.from(fixture.sharpened.flat(2)),
};
const SETTINGS = { policy: "winnow", budget: 64, window: 16, sinks: 4, reread: true } as const;

/** The calibration of the other policies' runs, which has measured second readings too. */
function filters(): Uint8Array {
  const { filters, statistics } = readCalibration(file("policies-tiny.safetensors"));
  const headLoss = { ...statistics.headLoss!, reread };
  return writeCalibration({ filters, statistics: { ...statistics, headLoss } });
}

const load = (contextLength?: number): Promise<InferenceEngine> =>
  InferenceEngine.load(sharedGpu, {
    source: new MemorySource(tinyModel("f32", contextLength), "tiny.gguf"),
    name: "tiny",
    cache: { kv: "f32" },
    filters: filters(),
  });

let engine: InferenceEngine;
beforeAll(async () => {
  engine = await load();
});
afterAll(() => engine?.close());

test("the attention that a second reading pays, and what it says of heads' budgets", async () => {
  const { document, attention, budgets, roots } = fixture;
  const found = await engine.rereadAttention(document);
  const flat = found.flat().flatMap((scores) => [...scores]);
  const worst = attention.flat(2).map((x, i) => Math.abs(x - flat[i]!));
  expect(Math.max(...worst)).toBeLessThan(1e-5);
  const loss = new RereadLoss(engine.shape, document.length);
  loss.add(found);
  loss.add(found);
  const measured = loss.result();
  expect(measured.budgets).toEqual(budgets);
  const apart = roots.flat(2).map((x, i) => Math.abs(x - measured.values[i]!));
  expect(Math.max(...apart)).toBeLessThan(1e-4);
  checkCache(engine);
});

test("heads are given what lowers both losses most: of the next tokens, and of second readings", () => {
  const request = { budget: 64, least: 21, governed: [true, true] };
  const { statistics } = readCalibration(file("policies-tiny.safetensors"));
  const both = ofBothReadings(statistics.headLoss!, reread, 64);
  expect(headBudgets(both, 2, request)).toEqual(fixture.heads);
  expect(new Set(fixture.heads.flat()).size).toBeGreaterThan(1);
});

test.each(fixture.runs)("prompts that are read twice, and what is decoded between them", (run) =>
  expectRun(engine, fixture, run),
);

test("a prompt in two blocks: what the first one's second reading said still counts", async () => {
  const short = await load(600);
  const { state } = short.internals;
  const { tokens, prompt, doubtful, nll } = fixture.blocks;
  await state.runner.compiled(everyStep("winnow"));
  const sequence = new KvSequence(state.pool, resolveCacheSettings(SETTINGS));
  const losses = await LossReader.create(state, state.runner.transformer.config.vocabulary, 1);
  const steps: number[] = [];
  await state.prompts.read(sequence, tokens.slice(0, -1), ({ last, row, taken, done }) => {
    if (taken.length > 0) steps.push(done);
    if (last) losses.submit([tokens.at(-1)!], row!, 0);
  });
  expect(steps).toEqual([200, 400]);
  expectKept(await keptPositions(state, sequence), { wanted: prompt, doubtful, cascades: true });
  expect(Math.abs((await losses.read(1))[0]! - nll[0]!)).toBeLessThan(0.01);
  losses.dispose();
  sequence.free();
  checkCache(short);
  await short.close();
});

const TINY = { name: "tiny", sha256: "" };
/** Longer than a chunk and than the budget. */
const DOCUMENT = someTokens(300, 4);

test("a chat that reads twice is told so, saved, and goes on elsewhere as if it had never been away", async () => {
  const chat = await freshChat(engine, SETTINGS);
  const told: number[] = [];
  const onPrefill = (done: number): void => void told.push(done);
  const { answer } = await ask(chat, DOCUMENT, { maxTokens: 20, onPrefill });
  // Each layer is through both readings when it is told.
  expect(told).toEqual([150, 300]);
  expect(chat.usage()).toMatchObject({ reread: true, policy: "winnow", tokensSeen: 319 });
  expect(chat.place.live.pages.capacities).toEqual(fixture.heads);
  const file = await chat.save(TINY);
  const loaded = freshChat(engine);
  await loaded.load(new BlobSource(file, "chat.winnow"), TINY);
  expect(loaded.usage()).toEqual(chat.usage());
  const next = [...DOCUMENT, ...answer, ...someTokens(150, 5)];
  expect(await ask(loaded, next, { maxTokens: 20 })).toEqual(
    await ask(chat, next, { maxTokens: 20 }),
  );
  checkCache(engine);
});

test("settings decide what is read twice: not what fits, nor a question, nor once it is off", async () => {
  const chat = await freshChat(engine, { ...SETTINGS, reread: false });
  const keptBy = () => keptPositions(engine.internals.state, chat.place.live);
  await ask(chat, DOCUMENT, { maxTokens: 1 });
  const once = await keptBy();
  await chat.reset();
  await chat.configure({ reread: true });
  await ask(chat, DOCUMENT, { maxTokens: 1 });
  const twice = await keptBy();
  expect(twice).not.toEqual(once);
  await chat.reset();
  await chat.configure({ budget: 400 });
  await ask(chat, DOCUMENT, { maxTokens: 1 });
  expect((await keptBy()).flat().every(({ length }) => length === 300)).toBe(true);
  await expect(chat.configure({ policy: "k-norm" })).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("cache.reread"),
  });
});

test("an abort between its layers leaves nothing behind, and the chat reads again", async () => {
  const chat = await freshChat(engine, SETTINGS);
  const untouched = await freshChat(engine, SETTINGS);
  const control = new AbortController();
  const aborted = ask(chat, DOCUMENT, {
    maxTokens: 1,
    signal: control.signal,
    onPrefill: () => control.abort(),
  });
  await expect(aborted).rejects.toMatchObject({ code: "aborted" });
  checkCache(engine);
  const again = await ask(chat, DOCUMENT, { maxTokens: 10 });
  const fresh = await ask(untouched, DOCUMENT, { maxTokens: 10 });
  expect(again.answer).toEqual(fresh.answer);
});

test("without budgets that were measured for it, prompts are read once, and a notice says so", async () => {
  const lacking = await loadTinyEngine({}, { filters: file("policies-tiny.safetensors") });
  const chat = await freshChat(lacking, { reread: true, budget: 64 });
  expect(chat.usage()).toMatchObject({ reread: false, policy: "winnow" });
  expect(chat.wantsCalibration).toBe(true);
  expect(lacking.info().notices.at(-1)).toBe(
    "cache.reread needs this model's calibration (missing: second readings), so long prompts are read once: calibrate the model to have it.",
  );
  await lacking.install(filters());
  expect(lacking.info().notices).toEqual([]);
  expect(chat.usage()).toMatchObject({ reread: true });
  await lacking.close();
});

test.each(["lfm2", "gemma3"] as const)(
  "nothing of a second reading stays in what a %s keeps beside pairs: states and rings",
  async (family) => {
    const other = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel(family), `${family}.gguf`),
      name: family,
      cache: { policy: "full", kv: "f32" },
    });
    const { state } = other.internals;
    await state.runner.compiled(everyStep("full"));
    const tokens = someTokens(303, 7);
    const losses = await LossReader.create(state, state.runner.transformer.config.vocabulary, 4);
    for (const [i, twice] of [false, true].entries()) {
      const sequence = new KvSequence(state.pool, resolveCacheSettings({ policy: "full" }));
      if (twice) await state.prompts.readTwice(sequence, tokens.slice(0, 300));
      else await state.prompts.read(sequence, tokens.slice(0, 300), () => {});
      for (const at of [300, 301]) {
        state.runner.submitToken(sequence, tokens[at]!);
        losses.submit([tokens[at + 1]!], 0, 2 * i + at - 300);
      }
      sequence.free();
    }
    const [first, second, again, behind] = await losses.read(4);
    expect(again).toBeCloseTo(first!, 3);
    expect(behind).toBeCloseTo(second!, 3);
    checkCache(other);
    losses.dispose();
    await other.close();
  },
);
