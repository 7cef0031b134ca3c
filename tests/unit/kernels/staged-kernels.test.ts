import { beforeAll, expect, it } from "vitest";
import type { Stage } from "../../../src/gpu/kernel.ts";
import { StagedKernels } from "../../../src/gpu/staged-kernels.ts";

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

it("waits for every kernel where nothing is held, and compiles it once", async () => {
  const { device, begun, end } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  const twice = [
    kernels.kernel(spec("a", "eviction")),
    kernels.kernel(spec("other", undefined, "a")),
  ];
  await end("a");
  const [a, b] = await Promise.all(twice);
  expect(a).toBe(b);
  expect(begun).toEqual(["a"]);
  expect(kernels.ready("eviction")).toBe(true);
});

it("leaves later stages for after the first, the shortest first, and says when they are through", async () => {
  const { device, begun, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  await kernels.kernel(spec("evict", "eviction"));
  const long = await kernels.kernel(spec("decode", "answer", "long code"));
  await kernels.kernel(spec("append", "answer", "code"));
  await kernels.kernel(spec("again", "turn", "c"));
  expect(begun).toEqual([]);
  expect(() => long.pipeline).toThrow(/"decode" runs before it is compiled/);
  kernels.release();
  await settled();
  expect(begun).toEqual(["append"]);
  await end("append");
  expect(begun).toEqual(["append", "decode"]);
  const compiled = kernels.compiled("answer");
  await end("decode");
  await compiled;
  expect([kernels.ready("answer"), kernels.ready("eviction")]).toEqual([true, false]);
  expect(long.pipeline).toEqual({ label: "decode" });
  expect(begun).toEqual(["append", "decode", "again"]);
  await end("again");
  await end("evict");
  expect(kernels.ready("eviction")).toBe(true);
});

it("begins nothing beside work that must not be slowed, but for what somebody waits for", async () => {
  const { device, begun, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  await kernels.kernel(spec("answer", "answer"));
  await kernels.kernel(spec("evict", "eviction"));
  let finish = (): void => {};
  const work = kernels.undisturbed(
    () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
  );
  kernels.release();
  await settled();
  expect(begun).toEqual([]);
  const wanted = kernels.compiled("answer");
  await settled();
  expect(begun).toEqual(["answer"]);
  await end("answer");
  await wanted;
  expect(begun).toEqual(["answer"]);
  finish();
  await work;
  await settled();
  expect(begun).toEqual(["answer", "evict"]);
});

/** Released with two kernels of an answer and one of a later turn; the first is begun. */
async function answerAndTurn() {
  const { device, begun, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  await kernels.kernel(spec("first", "answer"));
  await kernels.kernel(spec("second", "answer", "longer code"));
  await kernels.kernel(spec("behind", "turn"));
  kernels.release();
  await settled();
  return { kernels, begun, end };
}

it("compiles first what somebody waits for, and all before it says that a cache can evict", async () => {
  const { kernels, begun, end } = await answerAndTurn();
  expect(begun).toEqual(["first"]);
  const behind = kernels.compiled("turn");
  const whole = kernels.compiled("eviction").then(() => begun.push("whole"));
  await end("first");
  expect(begun).toEqual(["first", "second"]);
  await end("second");
  await end("behind");
  await behind;
  await whole;
  expect(begun).toEqual(["first", "second", "behind", "whole"]);
});

it("lets what is wanted overtake the others", async () => {
  const { kernels, begun, end } = await answerAndTurn();
  const behind = kernels.compiled("turn");
  await end("first");
  expect(begun).toEqual(["first", "behind"]);
  await end("behind");
  await behind;
  expect([kernels.ready("turn"), kernels.ready("answer")]).toEqual([true, false]);
  await end("second");
  expect(kernels.ready("answer")).toBe(true);
});

it("leaves what only eviction needs for after an answer, unless somebody waits for it", async () => {
  const { device, begun, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  for (const label of ["evict", "score", "move"]) await kernels.kernel(spec(label, "eviction"));
  await kernels.kernel(spec("behind", "turn"));
  const first = kernels.answering();
  const second = kernels.answering();
  kernels.release();
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
  kernels.answering();
  await end("move");
  expect(begun).toEqual(["behind", "move"]);
  const wanted = kernels.compiled("eviction");
  await settled();
  expect(begun).toEqual(["behind", "move", "evict"]);
  await end("evict");
  await end("score");
  await wanted;
});

it("does a stage's work after its kernels, and what that compiles in turn", async () => {
  const { device, begun, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  await kernels.kernel(spec("decode", "answer"));
  const labels = ["score", "observe"];
  await kernels.later("eviction", () =>
    Promise.all(labels.map((label) => kernels.kernel(spec(label, "eviction")))),
  );
  kernels.release();
  await settled();
  await end("decode");
  expect(begun).toEqual(["decode", "score"]);
  await end("score");
  await end("observe");
  expect(kernels.ready("eviction")).toBe(true);
  await kernels.later("eviction", async () => begun.push("at once"));
  expect(begun).toEqual(["decode", "score", "observe", "at once"]);
});

it("compiles a stage at once where the processor is not the adapter", async () => {
  const { device, begun, settled } = fakeDevice();
  const kernels = new StagedKernels(device, false);
  kernels.hold();
  for (const label of ["a", "b"]) await kernels.kernel(spec(label, "answer"));
  kernels.release();
  await settled();
  expect(begun).toEqual(["a", "b"]);
});

it("tells those who wait of a failure, and those who come later", async () => {
  const { device, end, settled } = fakeDevice();
  const kernels = new StagedKernels(device, true);
  kernels.hold();
  await kernels.kernel(spec("a", "answer"));
  kernels.release();
  await settled();
  const waiting = kernels.compiled("answer");
  waiting.catch(() => {});
  await end("a", new Error("lost"));
  await expect(waiting).rejects.toThrow("lost");
  await expect(kernels.compiled("eviction")).rejects.toThrow("lost");
  expect(kernels.ready("answer")).toBe(false);
});
