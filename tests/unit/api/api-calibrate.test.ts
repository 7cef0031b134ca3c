import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CalibrateProgress } from "../../../src/api/types.ts";
import { readCalibration } from "../../../src/cache/filters-file.ts";
import { sha256Of } from "../../../src/fetch/sha256.ts";
import { calibrationStore } from "../../../src/fetch/store/calibration-store.ts";
import { diskFolder } from "../../../src/node/disk-folder.ts";
import { openFake } from "./api-fake-engine.ts";

const TEXT = "All this happened, more or less. ".repeat(20);

describe("engine.calibrate", () => {
  it("calibrates on texts, puts the file in use, keeps it, and says what it did", async () => {
    const { engine, fake } = await openFake();
    const stages: CalibrateProgress[] = [];
    const result = await engine.calibrate({
      texts: [TEXT],
      samples: 200,
      seed: 5,
      onProgress: (progress) => stages.push(progress),
    });
    expect(result).toMatchObject({ layers: 2, kvHeads: 1, headDim: 4, samples: 200, kept: true });
    expect(result.tokens).toBe(TEXT.length);
    expect(fake.installed).toEqual([result.file]);
    expect(fake.kept).toEqual([result.file]);
    expect(readCalibration(result.file).filters).toMatchObject({
      modelSha256: "abc",
      samples: 200,
      seed: 5,
      textsSha256: [await sha256Of(TEXT)],
    });
    expect([...new Set(stages.map(({ stage }) => stage))]).toEqual([
      "queries",
      "filters",
      "install",
    ]);
    expect(stages.at(-1)).toEqual({ stage: "install", loaded: 1, total: 1 });
    await engine.close();
  });

  it("lets the model write where no text is given, and forgets that conversation", async () => {
    const { engine, fake } = await openFake();
    const stages = new Set<string>();
    const onProgress = ({ stage }: CalibrateProgress) => void stages.add(stage);
    const first = await engine.calibrate({ samples: 150, keep: false, onProgress });
    expect(first).toMatchObject({ samples: 150, tokens: 150, kept: false });
    expect(fake.kept).toEqual([]);
    expect(stages.has("writing")).toBe(true);
    expect(fake.log.filter((line) => line === "start unnamed").length).toBeGreaterThan(1);
    expect(fake.log.at(-1)).toBe("reset unnamed");
    const second = await engine.calibrate({ samples: 150, keep: false });
    expect(second.file).toEqual(first.file);
    await engine.close();
  });

  it("stops when aborted, changes nothing, and can be asked again", async () => {
    const { engine, fake } = await openFake();
    const control = new AbortController();
    const run = engine.calibrate({
      texts: [TEXT],
      samples: 200,
      signal: control.signal,
      onProgress: () => control.abort(),
    });
    await expect(run).rejects.toMatchObject({ code: "aborted" });
    expect(fake.installed).toEqual([]);
    await expect(
      engine.calibrate({ texts: [TEXT], signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "aborted" });
    await engine.calibrate({ texts: [TEXT], samples: 100 });
    expect(fake.installed).toHaveLength(1);
    await engine.close();
  });

  it("refuses a second calibration at the same time, and texts that are too short", async () => {
    const { engine } = await openFake();
    const running = engine.calibrate({ texts: [TEXT], samples: 200 });
    await expect(engine.calibrate({ texts: [TEXT] })).rejects.toMatchObject({ code: "busy" });
    await running;
    await expect(engine.calibrate({ texts: ["short"] })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("5 tokens, but 3000 samples"),
    });
    await engine.close();
  });

  it.each([
    ["text: is called texts", { text: "a" }],
    ["texts: must be a list", { texts: "a" }],
    ["texts: must be a list", { texts: [] }],
    ["texts[1]: must be a string", { texts: ["a", 1] }],
    ["samples: must be", { samples: 0 }],
    ["seed: must be", { seed: -2 }],
    ["keep: must be", { keep: "yes" }],
    ["signal: must be", { signal: {} }],
  ])("refuses bad options: %s", async (message, options) => {
    const { engine } = await openFake();
    await expect(engine.calibrate(options as never)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining(message),
    });
    await engine.close();
  });
});

describe("kept calibrations", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "winnow-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("are found by size and hash, replaced, and removed", async () => {
    const path = join(folder, "deep", "calibrations");
    const store = calibrationStore(async () => diskFolder(path));
    let hashed = 0;
    const hash = (value: string) => async () => {
      hashed++;
      return value;
    };
    expect(await store.find(100, hash("aa"))).toBeUndefined();
    await store.save(100, "aa", Uint8Array.of(1, 2));
    expect(await store.find(101, hash("aa"))).toBeUndefined();
    // Nothing of that size is kept: no model was hashed for it.
    expect(hashed).toBe(0);
    expect(await store.find(100, hash("aa"))).toEqual(Uint8Array.of(1, 2));
    expect(await store.find(100, hash("bb"))).toBeUndefined();
    await store.save(100, "aa", Uint8Array.of(3));
    expect(await store.find(100, hash("aa"))).toEqual(Uint8Array.of(3));
    expect(await readdir(path)).toEqual(["100-aa.safetensors"]);
    expect(await store.remove(100, "aa")).toBe(true);
    expect(await store.remove(100, "aa")).toBe(false);
    expect(await store.find(100, hash("aa"))).toBeUndefined();
  });

  it("are as good as not there where they cannot be read", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    const broken = calibrationStore(async () => diskFolder(join(file, "below")));
    expect(await broken.find(1, async () => "aa")).toBeUndefined();
    await expect(broken.save(1, "aa", Uint8Array.of(1))).rejects.toThrow();
  });
});
