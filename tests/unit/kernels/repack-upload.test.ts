import { describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { TensorSource } from "../../../src/kernels/products/weight-sections.ts";
import { type UploadOptions, uploadMatrix } from "../../../src/kernels/products/weights.ts";
import { unroll } from "../../../src/kernels/unroll.ts";

interface FakeBuffer {
  readonly size: number;
  readonly words: Uint32Array;
}

/** As much of a GpuContext as an upload needs; buffers are arrays. */
function fakeGpu(outOfMemory = false) {
  const live = new Set<FakeBuffer>();
  const writes: number[] = [];
  const gpu = {
    adapter: { info: { vendor: "v", architecture: "a", device: "d", description: "" } },
    device: {
      limits: { maxStorageBufferBindingSize: 1 << 27 },
      pushErrorScope: () => undefined,
      popErrorScope: async () => (outOfMemory ? { message: "too much" } : null),
    },
    ledger: {
      storage(_purpose: string, _label: string, size: number) {
        const buffer = { size, words: new Uint32Array(size / 4) };
        live.add(buffer);
        return buffer;
      },
      destroy: (buffer: FakeBuffer) => live.delete(buffer),
    },
    write(buffer: FakeBuffer, data: Uint32Array, byteOffset: number) {
      writes.push(data.byteLength);
      buffer.words.set(data, byteOffset / 4);
    },
  };
  return { gpu: gpu as unknown as GpuContext, live, writes };
}

/** F32 rows whose every weight is base + row. */
function source(rows: number, cols: number, base = 0, more: Partial<TensorSource> = {}) {
  const reads: number[] = [];
  const values = new Float32Array(rows * cols).map((_, i) => base + Math.floor(i / cols));
  const bytes = new Uint8Array(values.buffer);
  const tensor: TensorSource = {
    name: "t",
    type: "F32",
    rows,
    cols,
    read(offset, length) {
      reads.push(length);
      return bytes.slice(offset, offset + length);
    },
    ...more,
  };
  return { tensor, reads };
}

async function rowsOf(
  sources: readonly TensorSource[],
  arrangement: "stack" | "interleave",
  options: UploadOptions,
) {
  const { gpu, writes } = fakeGpu();
  const matrix = await uploadMatrix(gpu, "W", sources, arrangement, options);
  const words = matrix.parts.flatMap(({ buffers }) => [
    ...new Float32Array((buffers[0] as unknown as FakeBuffer).words.buffer),
  ]);
  return { matrix, writes, rows: words.filter((_, i) => i % 32 === 0) };
}

async function failure(
  sources: readonly TensorSource[],
  arrangement: "stack" | "interleave" = "stack",
) {
  const { gpu, live } = fakeGpu();
  const error = await uploadMatrix(gpu, "W", sources, arrangement).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(WinnowError);
  expect(live.size).toBe(0);
  return error as WinnowError;
}

describe("uploadMatrix", () => {
  it("stacks and reorders rows, in chunks that stay small", async () => {
    const rowOrder = (row: number) => row ^ 1;
    const a = source(100, 32, 0, { rowOrder });
    const b = source(50, 32, 1000);
    const { matrix, writes, rows } = await rowsOf([a.tensor, b.tensor], "stack", {
      chunkBytes: 1000,
    });
    const first = Array.from({ length: 100 }, (_, row) => row ^ 1);
    expect(rows).toEqual([...first, ...Array.from({ length: 50 }, (_, row) => 1000 + row)]);
    expect(matrix).toMatchObject({ rows: 150, cols: 32, interleaved: false, bytes: 150 * 128 });
    expect(Math.max(...writes)).toBeLessThanOrEqual(1000);
    expect(Math.max(...a.reads)).toBeLessThanOrEqual(9 * 128);
  });

  it("interleaves two tensors, across parts", async () => {
    const pair = [source(20, 32).tensor, source(20, 32, 500).tensor];
    const { matrix, rows } = await rowsOf(pair, "interleave", { maxBindingBytes: 16 * 128 });
    expect(matrix.parts.map((part) => [part.firstRow, part.rows])).toEqual([
      [0, 16],
      [16, 16],
      [32, 8],
    ]);
    expect(rows).toEqual(Array.from({ length: 40 }, (_, i) => (i >> 1) + (i % 2) * 500));
    expect(matrix.interleaved).toBe(true);
  });

  it("reports the tensor's bytes", async () => {
    let bytes = 0;
    await rowsOf([source(9, 64).tensor], "stack", {
      chunkBytes: 600,
      onBytes: (n) => {
        bytes += n;
      },
    });
    expect(bytes).toBe(9 * 64 * 4);
  });

  it("refuses widths and shapes the kernels do not take", async () => {
    expect((await failure([source(2, 6).tensor])).code).toBe("unsupported_model");
    expect((await failure([])).code).toBe("invalid_argument");
    expect((await failure([source(2, 32).tensor, source(2, 64).tensor])).message).toContain("64");
    expect((await failure([source(2, 32).tensor, source(3, 32).tensor], "interleave")).code).toBe(
      "invalid_argument",
    );
    const astray = source(2, 32, 0, { rowOrder: (row) => row + 1 }).tensor;
    expect((await failure([astray])).message).toContain("no row 2");
  });

  it("frees everything when a read fails, memory runs out or the caller aborts", async () => {
    const read = () => Promise.reject(new WinnowError("network", "gone"));
    expect((await failure([source(2, 32, 0, { read }).tensor])).code).toBe("network");
    const full = fakeGpu(true);
    await expect(uploadMatrix(full.gpu, "W", [source(2, 32).tensor])).rejects.toMatchObject({
      code: "out_of_memory",
    });
    expect(full.live.size).toBe(0);
    const { gpu, live } = fakeGpu();
    const options = { signal: AbortSignal.abort() };
    await expect(
      uploadMatrix(gpu, "W", [source(2, 32).tensor], "stack", options),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(live.size).toBe(0);
  });
});

describe("unroll", () => {
  it("repeats nested loops and counts pairs", () => {
    const code = [
      "a",
      "//: for m",
      "b$m",
      "  //: for n",
      "c$m_$n $n.even,$n.odd",
      "  //: end",
      "//: end",
    ];
    const lines = unroll(code.join("\n"), { m: 2, n: 2 })[0]?.split("\n");
    expect(lines).toEqual(["a", "b0", "c0_0 0,1", "c0_1 2,3", "b1", "c1_0 0,1", "c1_1 2,3"]);
  });

  it("throws on a loop without a count or an end", () => {
    expect(() => unroll("//: for q\n//: end", {})).toThrow("no count for q");
    expect(() => unroll("//: for q\nx", { q: 1 })).toThrow("without end");
  });
});
