import { beforeAll, expect, it } from "vitest";
import { CompileQueue } from "../../../src/gpu/compile-queue.ts";
import type { Stage } from "../../../src/gpu/kernel.ts";

/** A device whose pipelines are there when the test says so. */
function fakeDevice() {
  const begun: string[] = [];
  const ends = new Map<string, { resolve(): void; reject(error: Error): void }>();
  const device = {
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createComputePipelineAsync: ({ label }: { label: string }) => {
      begun.push(label);
      return new Promise((resolve, reject) => {
        ends.set(label, { resolve: () => resolve({ label }), reject });
      });
    },
  };
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  return {
    device: device as unknown as GPUDevice,
    begun,
    /** Ends the compilation of a kernel, and lets those who waited for it go on. */
    async end(label: string, error?: Error) {
      const { resolve, reject } = ends.get(label)!;
      if (error) reject(error);
      else resolve();
      await settled();
    },
    settled,
  };
}

const spec = (label: string, stage?: Stage, code = label) => ({
  label,
  code: [code],
  ...(stage && { stage }),
});

beforeAll(() => {
  globalThis.GPUShaderStage ??= { COMPUTE: 4 } as typeof GPUShaderStage;
});

/** A queue of an adapter that compiles on its own processor, still loading. */
function loading() {
  const fake = fakeDevice();
  const kernels = new CompileQueue(fake.device, true);
  return { ...fake, kernels, loaded: kernels.busy("load") };
}

it("waits for every kernel where nothing else goes on, and compiles it once", async () => {
  const { device, begun, end } = fakeDevice();
  const kernels = new CompileQueue(device, true);
  const twice = [
    kernels.kernel(spec("a", "eviction")),
    kernels.kernel(spec("other", undefined, "a")),
  ];
  await end("a");
  const [a, b] = await Promise.all(twice);
  expect(a).toBe(b);
  expect(begun).toEqual(["a"]);
  expect(kernels.compiled(["eviction"])).toBeUndefined();
});

it("leaves later stages for after loading, the shortest first, and says when they are through", async () => {
  const { kernels, begun, end, settled, loaded } = loading();
  await kernels.kernel(spec("evict", "eviction"));
  const long = await kernels.kernel(spec("decode", "answer", "long code"));
  await kernels.kernel(spec("append", "answer", "code"));
  await kernels.kernel(spec("again", "turn", "c"));
  await settled();
  expect(begun).toEqual([]);
  expect(() => long.pipeline).toThrow(/"decode" runs before it is compiled/);
  loaded();
  await settled();
  expect(begun).toEqual(["append"]);
  await end("append");
  expect(begun).toEqual(["append", "decode"]);
  const compiled = kernels.compiled(["answer"]);
  expect(compiled).toBeDefined();
  await end("decode");
  await compiled;
  expect(kernels.compiled(["answer"])).toBeUndefined();
  expect(long.pipeline).toEqual({ label: "decode" });
  expect(begun).toEqual(["append", "decode", "again"]);
  await end("again");
  await end("evict");
  expect(kernels.compiled(["eviction"])).toBeUndefined();
});

it("compiles what the first token needs at once, and a kernel of two stages with the earlier one", async () => {
  const { kernels, begun, end, settled, loaded } = loading();
  const first = kernels.kernel(spec("first"));
  await kernels.kernel(spec("late", "turn", "both"));
  await kernels.kernel(spec("late too", "turn", "both"));
  await kernels.kernel(spec("soon", "answer", "both"));
  await settled();
  expect(begun).toEqual(["first"]);
  await end("first");
  await first;
  loaded();
  await settled();
  expect(begun).toEqual(["first", "late"]);
  const answer = kernels.compiled(["answer"]);
  await end("late");
  await answer;
  expect(kernels.compiled(["turn"])).toBeUndefined();
  expect(begun).toEqual(["first", "late"]);
});

it("begins nothing beside a prompt that is read, but for what somebody waits for", async () => {
  const { kernels, begun, end, settled, loaded } = loading();
  await kernels.kernel(spec("answer", "answer"));
  await kernels.kernel(spec("evict", "eviction"));
  const read = kernels.busy("prompt");
  loaded();
  await settled();
  expect(begun).toEqual([]);
  const wanted = kernels.compiled(["answer"]);
  await settled();
  expect(begun).toEqual(["answer"]);
  await end("answer");
  await wanted;
  expect(begun).toEqual(["answer"]);
  read();
  await settled();
  expect(begun).toEqual(["answer", "evict"]);
});

/** Loaded, with two kernels of an answer and one of a later turn; the first is begun. */
async function answerAndTurn() {
  const { kernels, begun, end, settled, loaded } = loading();
  await kernels.kernel(spec("first", "answer"));
  await kernels.kernel(spec("second", "answer", "longer code"));
  await kernels.kernel(spec("behind", "turn"));
  loaded();
  await settled();
  return { kernels, begun, end };
}

it("compiles what several callers wait for in the order of the stages", async () => {
  const { kernels, begun, end } = await answerAndTurn();
  expect(begun).toEqual(["first"]);
  const behind = kernels.compiled(["turn"]);
  const all = kernels.compiled(["answer", "turn", "eviction"])?.then(() => begun.push("all"));
  await end("first");
  expect(begun).toEqual(["first", "second"]);
  await end("second");
  await end("behind");
  await behind;
  await all;
  expect(begun).toEqual(["first", "second", "behind", "all"]);
});

it("lets what is wanted overtake the others", async () => {
  const { kernels, begun, end } = await answerAndTurn();
  const behind = kernels.compiled(["turn"]);
  await end("first");
  expect(begun).toEqual(["first", "behind"]);
  await end("behind");
  await behind;
  expect(kernels.compiled(["turn"])).toBeUndefined();
  const answer = kernels.compiled(["answer"]);
  expect(answer).toBeDefined();
  await end("second");
  await answer;
});

it("leaves what only eviction needs for after an answer, unless somebody waits for it", async () => {
  const { kernels, begun, end, settled, loaded } = loading();
  for (const label of ["evict", "score", "move"]) await kernels.kernel(spec(label, "eviction"));
  await kernels.kernel(spec("behind", "turn"));
  const first = kernels.busy("answer");
  const second = kernels.busy("answer");
  loaded();
  await settled();
  expect(begun).toEqual(["behind"]);
  await end("behind");
  first();
  first();
  await settled();
  expect(begun).toEqual(["behind"]);
  second();
  await settled();
  expect(begun).toEqual(["behind", "move"]);
  kernels.busy("answer");
  await end("move");
  expect(begun).toEqual(["behind", "move"]);
  const wanted = kernels.compiled(["eviction"]);
  await settled();
  expect(begun).toEqual(["behind", "move", "evict"]);
  await end("evict");
  await end("score");
  await wanted;
});

it("compiles kernels that come after loading in their turn, and at once those of a stage that was waited for", async () => {
  const { kernels, begun, end, settled } = await (async () => {
    const queue = loading();
    await queue.kernels.kernel(spec("decode", "answer"));
    queue.loaded();
    return queue;
  })();
  const both = ["score", "observe"].map((label) => kernels.kernel(spec(label, "eviction")));
  await settled();
  expect(begun).toEqual(["decode"]);
  await end("decode");
  expect(begun).toEqual(["decode", "score"]);
  await end("score");
  await end("observe");
  await Promise.all(both);
  kernels.busy("prompt");
  kernels.busy("answer");
  const polite = kernels.kernel(spec("polite", "eviction"));
  await settled();
  expect(begun).not.toContain("polite");
  kernels.compiled(["eviction"]);
  const urgent = kernels.kernel(spec("urgent", "eviction", "longer than polite"));
  await settled();
  await end("polite");
  await end("urgent");
  await Promise.all([polite, urgent]);
  expect(begun).toEqual(["decode", "score", "observe", "polite", "urgent"]);
});

it("compiles all at once where the processor is not the adapter, once it has loaded", async () => {
  const { device, begun, settled } = fakeDevice();
  const kernels = new CompileQueue(device, false);
  const loaded = kernels.busy("load");
  for (const label of ["a", "b"]) await kernels.kernel(spec(label, "answer"));
  kernels.busy("prompt");
  await settled();
  expect(begun).toEqual([]);
  loaded();
  await settled();
  expect(begun).toEqual(["a", "b"]);
});

it("tells those who wait of a failure, and those who come later", async () => {
  const { kernels, end, settled, loaded } = loading();
  await kernels.kernel(spec("a", "answer"));
  loaded();
  await settled();
  const waiting = kernels.compiled(["answer"]);
  waiting?.catch(() => {});
  await end("a", new Error("lost"));
  await expect(waiting).rejects.toThrow("lost");
  await expect(kernels.compiled(["answer"])).rejects.toThrow("lost");
});
