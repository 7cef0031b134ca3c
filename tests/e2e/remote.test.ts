import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Winnow from "../../src/index.ts";
import * as node from "../../src/node.ts";
import { launchChromium } from "../chromium.ts";
import { type Site, servePackage } from "../firefox/site.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { type Host, nodeHost } from "./saved-chats-hosts.ts";
import { type Running, serve } from "./serve-process.ts";

const MODEL = tinyModel("f32");

interface Asked {
  options: Omit<Winnow.EngineOptions, "model"> & { model: string };
  stream?: boolean;
}

/** Makes an engine, asks it for a few tokens, and says what came and from where. */
const ask = (host: Host, asked: Asked) =>
  host.evaluate(async ({ options, stream = false }: Asked) => {
    const { winnow } = globalThis as unknown as { winnow: typeof Winnow };
    try {
      const engine = await winnow.createEngine(options);
      const messages = [{ role: "user" as const, content: "abc" }];
      const request = { messages, max_tokens: 8, temperature: 0 };
      let text = "";
      const sources: string[] = [];
      if (stream)
        for await (const chunk of await engine.chat.completions.create({
          ...request,
          stream: true,
        })) {
          text += chunk.choices[0].delta.content ?? "";
          sources.push(chunk.inferenceSource);
        }
      else {
        const answer = await engine.chat.completions.create(request);
        text = answer.choices[0].message.content ?? "";
        sources.push(answer.inferenceSource);
      }
      const { inference } = engine.info();
      await engine.close();
      return { text, sources: [...new Set(sources)], inference };
    } catch (error) {
      const { code, hint } = error as Winnow.WinnowError;
      return { code, hint };
    }
  }, asked);

describe("a server in the place of a device", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-remote-"));
  const path = join(folder, "tiny.gguf");
  let browser: Browser;
  let site: Site;
  let elsewhere: Site;
  let running: Running;
  let hosts: Record<"Chromium" | "Node", { host: Host; model: string }>;
  const remote = () => ({ baseURL: running.url, apiKey: "secret", model: running.model });

  beforeAll(async () => {
    writeFileSync(path, MODEL);
    [site, elsewhere] = await Promise.all([servePackage(MODEL), servePackage(MODEL)]);
    const origin = new URL(site.url).origin;
    running = await serve(path, "--policy", "k-norm", "--key", "secret", "--cors", origin);
    browser = await launchChromium();
    hosts = {
      Chromium: { host: (await openPage(site)) as Host, model: `${site.url}models/tiny.gguf` },
      Node: { host: nodeHost(node), model: path },
    };
  });
  afterAll(async () => {
    await browser?.close();
    for (const one of [site, elsewhere]) one?.close();
    running?.child.kill("SIGTERM");
    await running?.ended;
    rmSync(folder, { recursive: true, force: true });
  });

  async function openPage(at: Site): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(at.url);
    await page.waitForFunction(() => "winnow" in globalThis);
    return page;
  }

  it.each(["Chromium", "Node"] as const)(
    "answers as the engine in %s does, whole and streamed",
    async (name) => {
      const { host, model } = hosts[name];
      const cache = { policy: "k-norm" } as const;
      // A server would answer while it is downloaded.
      await ask(host, { options: { model, cache, mode: "only-on-device" } });
      const here = await ask(host, {
        options: { model, cache, mode: "prefer-on-device", remote: remote() },
      });
      expect(here).toMatchObject({ sources: ["on_device"], inference: { source: "on_device" } });
      for (const stream of [false, true]) {
        const options = { model, mode: "only-in-cloud", remote: remote() } as const;
        const there = await ask(host, { options, stream });
        expect(there).toMatchObject({
          sources: ["in_cloud"],
          inference: { mode: "only-in-cloud", source: "in_cloud" },
        });
        expect(there.text).toBe(here.text);
      }
    },
  );

  it.each(["Chromium", "Node"] as const)(
    "stands in where the model does not fit in %s",
    async (name) => {
      const { host, model } = hosts[name];
      await ask(host, { options: { model, mode: "only-on-device" } });
      const options = {
        model,
        memoryLimit: 1000,
        mode: "prefer-on-device",
        remote: remote(),
      } as const;
      expect(await ask(host, { options, stream: true })).toMatchObject({
        sources: ["in_cloud"],
        inference: {
          source: "in_cloud",
          fallback: { reason: "does_not_fit", code: "out_of_memory" },
        },
      });
    },
  );

  it("a page that the server does not allow hears what to do, and is answered on its device where it may be", async () => {
    const page = (await openPage(elsewhere)) as Host;
    const model = `${elsewhere.url}models/tiny.gguf`;
    const refused = await ask(page, {
      options: { model, mode: "only-in-cloud", remote: remote() },
    });
    expect(refused).toMatchObject({ code: "network", hint: expect.stringContaining("--cors") });
    const cache = { policy: "k-norm" } as const;
    const options = { model, cache, mode: "prefer-in-cloud", remote: remote() } as const;
    expect(await ask(page, { options })).toMatchObject({
      sources: ["on_device"],
      inference: { fallback: { reason: "unreachable" } },
    });
  });
});
