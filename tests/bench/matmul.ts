import { create, globals } from "webgpu";
import type { GgmlType } from "../../src/formats/ggml/ggml-types.ts";
import { type GpuContext, openGpu } from "../../src/gpu/context.ts";
import type { Dispatch } from "../../src/gpu/kernel.ts";
import { createLinear, type LinearEpilogue } from "../../src/kernels/products/linear.ts";
import { type ProductShapeName, productShapeFor } from "../../src/kernels/products/product-plan.ts";
import { destroyMatrix, uploadMatrix } from "../../src/kernels/products/weights.ts";
import { randomTensor } from "../kernels/products/random-tensor.ts";

Object.assign(globalThis, globals);
/** Kept for good: devices die with it. */
const dawn = create([]);

interface Case {
  readonly name: string;
  readonly type: GgmlType;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly epilogue: LinearEpilogue;
  readonly norm: boolean;
}

/** Seconds a repetition: the least of a few timings of `repeat` dispatches each. */
export async function time(gpu: GpuContext, dispatches: readonly Dispatch[], budget = 0.3) {
  const once = async (repeat: number): Promise<number> => {
    const list = Array.from({ length: repeat }, () => dispatches).flat();
    const start = performance.now();
    gpu.run(list);
    await gpu.device.queue.onSubmittedWorkDone();
    return (performance.now() - start) / 1000 / repeat;
  };
  await once(1);
  const first = await once(1);
  const repeat = Math.max(1, Math.min(200, Math.round(budget / 3 / first)));
  const runs = [];
  const cpu = [];
  for (let i = 0; i < 5; i++) {
    const before = process.cpuUsage();
    runs.push(await once(repeat));
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1e6 / repeat);
  }
  return {
    least: Math.min(...runs),
    median: runs.sort((a, b) => a - b)[2]!,
    cpu: Math.min(...cpu),
  };
}

async function measure(gpu: GpuContext, shape: ProductShapeName, test: Case): Promise<void> {
  const { name, type, n, k, rows, epilogue, norm } = test;
  const { source } = randomTensor(type, n, k, 1);
  const half = { ...source, rows: n / 2 };
  const matrix =
    epilogue === "swiglu"
      ? await uploadMatrix(gpu, name, [half, half], "interleave")
      : await uploadMatrix(gpu, name, [source]);
  const f32 = (count: number) => gpu.ledger.storage("activations", name, count * 4);
  const compileStart = performance.now();
  const linear = await createLinear(gpu, {
    matrix,
    epilogue,
    shape,
    ...(norm && { norm: { gain: f32(k), epsilon: 1e-5 } }),
  });
  const compile = performance.now() - compileStart;
  const batch = gpu.ledger.uniform("batch", new Uint32Array([rows, 0, 0, 0]));
  const bound = linear.bind({ batch, x: f32(rows * k), y: f32(rows * n), normed: f32(rows * k) });
  const { least, median, cpu } = await time(gpu, bound.dispatches(rows));
  const gflops = (seconds: number) => ((2 * n * k * rows) / seconds / 1e9).toFixed(2);
  console.log(
    `${name.padEnd(10)} ${type} ${n}x${k} M=${rows} ${shape}: ${(median * 1e3).toFixed(2)} ms, ` +
      `${gflops(median)} GFLOPS (best ${gflops(least)}; ${gflops(cpu)} a core by processor time), compiled in ${compile.toFixed(0)} ms`,
  );
  destroyMatrix(gpu, matrix);
}

export async function main(args: readonly string[]): Promise<void> {
  const gpu = await openGpu(dawn);
  const { vendor, architecture, description } = gpu.adapter.info;
  console.log(`adapter: ${vendor} ${architecture} ${description}`);
  const shape = (args[0] as ProductShapeName | undefined) ?? productShapeFor(gpu);
  const sizes = (args[1] ?? "1,64").split(",").map(Number);
  for (const rows of sizes) {
    const cases: readonly Case[] = [
      { name: "qkv", type: "Q4_1", n: 960, k: 576, rows, epilogue: "store", norm: true },
      { name: "out", type: "Q4_1", n: 576, k: 576, rows, epilogue: "add", norm: false },
      { name: "gate-up", type: "Q4_1", n: 3072, k: 576, rows, epilogue: "swiglu", norm: true },
      { name: "down", type: "Q4_1", n: 576, k: 1536, rows, epilogue: "add", norm: false },
      ...(rows === 1
        ? [
            {
              name: "head",
              type: "Q8_0",
              n: 49152,
              k: 576,
              rows,
              epilogue: "store",
              norm: true,
            } as const,
          ]
        : []),
    ];
    for (const test of cases) await measure(gpu, shape, test);
  }
}
