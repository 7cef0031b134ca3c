import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { JoinedSource, orderParts } from "../../../src/formats/gguf/gguf-split.ts";
import { parseModel } from "../../../src/formats/parse-model.ts";
import { partNames, partOf } from "../../../src/formats/part-names.ts";
import { resolveNodeModel } from "../../../src/node/model-files.ts";
import { writeGguf } from "../../reference/tiny-model/gguf-writer.ts";

const u16 = (value: number) => ({ type: "u16", value }) as const;

/** Part `no` of `count`: one tensor, all of whose values are `no`. */
const part = (no: number, count = 3, total = count): Uint8Array<ArrayBuffer> =>
  writeGguf({
    metadata: {
      ...(no === 0 ? { "general.architecture": "llama" } : {}),
      "split.no": u16(no),
      "split.count": u16(count),
      "split.tensors.count": { type: "i32", value: total },
    },
    tensors: [{ name: `t${no}`, type: "F32", shape: [64], data: new Float32Array(64).fill(no) }],
  });
const NAMES = partNames("m-00001-of-00003.gguf");
const PARTS = NAMES.map((_, no) => part(no));
const files = NAMES.map((name, no) => new File([PARTS[no]!], name));
const sha256 = (data: Uint8Array | string): string =>
  createHash("sha256").update(data).digest("hex");
const HASH = sha256(PARTS.map(sha256).join("\n"));
const bad = (text: string) => ({
  code: "bad_model_file",
  message: expect.stringContaining(text),
});

/** A server of parts that counts what it sends. */
function server(bodies: Record<string, Uint8Array<ArrayBuffer>>) {
  const asked: string[] = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const name = new URL(String(input)).pathname.split("/").at(-1)!;
    // What is stored is asked after by its first byte.
    if (new Headers(init?.headers).get("range") !== "bytes=0-0") asked.push(name);
    const body = bodies[name];
    if (body === undefined) return new Response("", { status: 404 });
    return new Response(body, { headers: { "content-length": String(body.length) } });
  };
  return { asked, fetch };
}

const valuesOf = async (source: JoinedSource, name: string): Promise<number> => {
  const { offset, byteLength } = (await parseModel(source)).tensors.get(name)!;
  const bytes = await source.read(offset, byteLength);
  return new Float32Array(bytes.slice().buffer)[63]!;
};

describe("a GGUF in parts", () => {
  it("is told by its names", () => {
    expect(partOf("a-00002-of-00003.gguf")).toEqual({ no: 2, count: 3 });
    expect(partOf("a.gguf")).toBeUndefined();
    expect(partOf("a-00004-of-00003.gguf")).toBeUndefined();
    expect(partNames("https://x.y/a-00002-of-00002.gguf?d=1#h")).toEqual([
      "https://x.y/a-00001-of-00002.gguf?d=1#h",
      "https://x.y/a-00002-of-00002.gguf?d=1#h",
    ]);
  });

  it("reads as one, from dropped files in any order", async () => {
    const model = await resolveModel([files[2]!, files[0]!, files[1]!]);
    const gguf = await parseModel(model.source);
    expect([...gguf.tensors.keys()]).toEqual(["t0", "t1", "t2"]);
    expect(gguf.metadata.get("general.architecture")).toBe("llama");
    for (const no of [0, 1, 2])
      expect(await valuesOf(model.source as JoinedSource, `t${no}`)).toBe(no);
    expect(await model.verified()).toEqual({ sha256: HASH });
    const all = Buffer.concat(PARTS);
    const across = PARTS[0]!.length - 5;
    expect(Buffer.from(await model.source.read(across, 9))).toEqual(
      all.subarray(across, across + 9),
    );
  });

  it("is fetched part by part and never twice, by URL and from a repository", async () => {
    const store = new MemoryStore();
    const { asked, fetch } = server(Object.fromEntries(NAMES.map((n, i) => [n, PARTS[i]!])));
    const sent: number[] = [];
    for (let round = 0; round < 2; round++) {
      const model = await resolveModel(`https://x.y/${NAMES[1]}`, {
        store,
        fetch,
        onProgress: (_stage, loaded) => sent.push(loaded),
      });
      expect(await model.verified()).toEqual({ sha256: HASH });
      expect(await valuesOf(model.source as JoinedSource, "t2")).toBe(2);
    }
    expect(asked.toSorted()).toEqual(NAMES);
    expect(Math.max(...sent)).toBe(PARTS.reduce((sum, { length }) => sum + length, 0));
    const hub = await resolveModel({ repo: "a/b", file: NAMES[0]! }, { store, fetch });
    expect(await hub.verified()).toEqual({ sha256: HASH });
  });

  it("names the part the server lacks, and keeps what came for the next time", async () => {
    const store = new MemoryStore();
    const some = { [NAMES[0]!]: PARTS[0]!, [NAMES[2]!]: PARTS[2]! };
    const first = server(some);
    const options = { store, retries: 0, backoffMs: 1 };
    const url = `https://x.y/${NAMES[0]}`;
    await expect(resolveModel(url, { ...options, fetch: first.fetch })).rejects.toMatchObject({
      code: "model_not_found",
      message: expect.stringContaining(NAMES[1]!),
    });
    const second = server({ ...some, [NAMES[1]!]: PARTS[1]! });
    const model = await resolveModel(url, { ...options, fetch: second.fetch });
    expect(await model.verified()).toEqual({ sha256: HASH });
  });

  it("names a part that is missing, double or of another model among files", async () => {
    await expect(resolveModel([files[0]!, files[2]!])).rejects.toMatchObject(bad(NAMES[1]!));
    await expect(resolveModel(files[0]!)).rejects.toMatchObject(bad(NAMES[1]!));
    expect(() => orderParts([files[0]!, files[0]!, files[1]!])).toThrow(/twice/);
    const other = new File([PARTS[1]!], "other-00002-of-00003.gguf");
    await expect(resolveModel([files[0]!, other, files[2]!])).rejects.toMatchObject(
      bad("other-00002-of-00003.gguf"),
    );
    await expect(resolveModel([])).rejects.toMatchObject({ code: "invalid_argument" });
  });

  it("names a part whose header contradicts its name", async () => {
    const join3 = (bodies: Uint8Array[]) =>
      new JoinedSource(bodies.map((body, i) => new MemorySource(body, NAMES[i])));
    const swapped = join3([PARTS[0]!, PARTS[2]!, PARTS[1]!]);
    await expect(parseModel(swapped)).rejects.toMatchObject(bad(NAMES[1]!));
    const counted = join3([PARTS[0]!, PARTS[1]!, part(2, 4)]);
    await expect(parseModel(counted)).rejects.toMatchObject(bad(NAMES[2]!));
    const short = join3([0, 1, 2].map((no) => part(no, 3, 5)));
    await expect(parseModel(short)).rejects.toMatchObject(bad("3 tensors, not 5"));
    await expect(parseModel(new MemorySource(PARTS[1]!, "lone.gguf"))).rejects.toMatchObject(
      bad("lone.gguf"),
    );
  });

  it("is found beside the named part on disk", async () => {
    const folder = mkdtempSync(join(tmpdir(), "winnow-parts-"));
    try {
      for (const [i, name] of NAMES.entries()) writeFileSync(join(folder, name), PARTS[i]!);
      const model = await resolveNodeModel(join(folder, NAMES[2]!), () => {});
      expect(await model.verified()).toEqual({ sha256: HASH });
      expect((await parseModel(model.source)).tensors.size).toBe(3);
      await model.close();
      rmSync(join(folder, NAMES[1]!));
      await expect(resolveNodeModel(join(folder, NAMES[0]!), () => {})).rejects.toMatchObject({
        code: "model_not_found",
        message: expect.stringContaining(NAMES[1]!),
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
