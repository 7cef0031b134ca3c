import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { isLoopback } from "../../../src/cli/serve/access.ts";
import type { ServeOptions } from "../../../src/cli/serve/server.ts";
import { HELLO, post, type Served, serveFake, until } from "./serve-harness.ts";

let served: Served;
const open = async (options: Partial<ServeOptions> = {}): Promise<Served> => {
  served = await serveFake(options);
  return served;
};
afterEach(() => served?.close());

/** The status of a request with headers that `fetch` does not let through. */
const statusOf = (path: string, headers: Record<string, string>, method = "GET"): Promise<number> =>
  new Promise((resolve, reject) => {
    request({ port: served.port, host: "127.0.0.1", path, method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });

describe("who may ask", () => {
  it.each([
    ["127.0.0.1", true],
    ["127.9.9.9", true],
    ["::1", true],
    ["[::1]", true],
    ["localhost", true],
    ["app.localhost", true],
    ["0.0.0.0", false],
    ["::", false],
    ["192.168.1.2", false],
    ["127.0.0.1.evil.example", false],
    ["localhost.evil.example", false],
  ])("%s is loopback: %s", (host, expected) => expect(isLoopback(host)).toBe(expected));

  it("a key that is missing, wrong or of another length is refused, on every path", async () => {
    const { base } = await open({ key: "s3cret" });
    for (const authorization of [
      undefined,
      "",
      "Bearer",
      "Bearer s3cre",
      "Bearer s3cret2",
      "Basic s3cret",
    ]) {
      const headers = authorization === undefined ? {} : { authorization };
      for (const path of ["/models", "/nowhere"])
        expect((await fetch(`${base}${path}`, { headers })).status).toBe(401);
      expect((await post(served, HELLO, { headers })).status).toBe(401);
    }
    const headers = { authorization: "Bearer s3cret" };
    expect((await fetch(`${base}/models`, { headers })).status).toBe(200);
  });

  it("a page of another origin is refused, also where it would not read the answer", async () => {
    const { fake } = await open();
    const headers = { origin: "https://evil.example", "content-type": "text/plain" };
    const response = await post(served, HELLO, { headers });
    expect(response.status).toBe(403);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
    expect(fake.log).toEqual([]);
    for (const origin of ["null", "http://127.0.0.1:1"])
      expect(await statusOf("/v1/models", { origin })).toBe(403);
  });

  it("origins that are named may ask, and read errors", async () => {
    const { base } = await open({ origins: ["https://app.example"], key: "k" });
    const origin = { origin: "https://app.example" };
    const preflight = await fetch(`${base}/chat/completions`, {
      method: "OPTIONS",
      headers: {
        ...origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, x-stainless-os",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toBe(
      "authorization, x-stainless-os",
    );
    const refused = await fetch(`${base}/models`, { headers: origin });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(await statusOf("/v1/models", { origin: "https://app.example.evil.example" })).toBe(403);
  });

  it("a name that is pointed at this machine is refused: DNS rebinding", async () => {
    await open();
    expect(await statusOf("/v1/models", { host: "evil.example" })).toBe(403);
    expect(await statusOf("/v1/models", { host: "localhost.evil.example:80" })).toBe(403);
    for (const host of ["localhost", `127.0.0.1:${served.port}`, "[::1]:80"])
      expect(await statusOf("/v1/models", { host })).toBe(200);
  });
});

describe("what is malformed", () => {
  it.each<[string, string | Uint8Array]>([
    ["nothing", ""],
    ["half an object", '{"messages": ['],
    ["a list", "[]"],
    ["a text", '"hi"'],
    ["null", "null"],
    ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)],
    ["nesting without end", "[".repeat(90_000)],
  ])("a body that is %s", async (_, body) => {
    const response = await post(await open(), body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { type: "invalid_request_error", code: "invalid_json", message: expect.any(String) },
    });
  });

  it.each([
    [{}, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: "hi" }, "messages"],
    [{ messages: [{ role: "king", content: "" }] }, "messages[0].role"],
    [{ ...HELLO, temperature: "hot" }, "temperature"],
    [{ ...HELLO, stream: 1 }, "stream"],
    [{ ...HELLO, model: 7 }, "model"],
    [{ ...HELLO, nonsense: true }, "nonsense"],
    [{ ...HELLO, audio: {} }, "audio"],
    [JSON.parse('{"messages":[{"role":"user","content":"hi"}],"__proto__":{"x":1}}'), "__proto__"],
  ])("%j is refused by the field's name", async (body, param) => {
    const response = await post(await open(), body);
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param } }]);
    expect(served.fake.log).toEqual([]);
  });

  it("a body that is too long is refused, with and without its length in front; the next one is taken", async () => {
    await open({ bodyLimit: 1000 });
    const long = { messages: [{ role: "user", content: "x".repeat(2000) }] };
    expect((await post(served, long)).status).toBe(413);
    const parts = new Blob([JSON.stringify(long)]).stream();
    const chunked = await post(served, undefined, { body: parts, duplex: "half" } as RequestInit);
    expect([chunked.status, await chunked.json()]).toMatchObject([
      413,
      { error: { code: "request_too_large" } },
    ]);
    expect((await post(served, HELLO)).status).toBe(200);
  });

  it("a body in another encoding, a path that is none and a method that is none", async () => {
    const { base } = await open();
    const zipped = await post(served, HELLO, { headers: { "content-encoding": "gzip" } });
    expect(zipped.status).toBe(415);
    expect((await fetch(`${base}/nowhere`)).status).toBe(404);
    expect((await fetch(`${base}/toString`)).status).toBe(404);
    expect((await fetch(`${base}/models/other`)).status).toBe(404);
    const put = await fetch(`${base}/chat/completions`, { method: "PUT" });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await statusOf("/v1/models", {}, "HEAD")).toBe(200);
    expect(await statusOf("/%", {})).toBe(400);
  });

  it("what is no HTTP ends its own connection alone", async () => {
    await open();
    const socket = connect(served.port, "127.0.0.1");
    let said = "";
    socket.on("data", (data) => {
      said += String(data);
    });
    socket.write("this is no HTTP\r\n\r\n");
    await until(() => socket.closed);
    expect(said).toMatch(/^HTTP\/1.1 400/);
    expect((await post(served, HELLO)).status).toBe(200);
  });

  it("an address that is taken, or none, is said in a sentence", async () => {
    await open();
    await expect(serveFake({ port: served.port })).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("--port"),
    });
    await expect(serveFake({ host: "203.0.113.1", key: "k" })).rejects.toMatchObject({
      message: expect.stringContaining("--host"),
    });
  });
});
