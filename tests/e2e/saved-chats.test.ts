import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as winnow from "../../src/node.ts";
import { launchChromium } from "../chromium.ts";
import { type Site, servePackage } from "../firefox/site.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import {
  ADDRESSES,
  checkGoneOn,
  closeEngine,
  FORMS,
  goOn,
  type Host,
  type Kept,
  keep,
  loadWhileAnswering,
  nodeHost,
  openEngine,
} from "./saved-chats-hosts.ts";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const MODEL = tinyModel("f32");

describe("a saved chat in Chromium and in Node", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-kept-"));
  const path = join(folder, "tiny.gguf");
  let browser: Browser;
  let page: Page;
  let site: Site;
  let elsewhere: Site;
  let hosts: Record<"Chromium" | "Node", Host>;
  const kept = new Map<string, Kept>();

  beforeAll(async () => {
    writeFileSync(path, MODEL);
    [site, elsewhere] = await Promise.all([servePackage(MODEL), servePackage(MODEL)]);
    browser = await launchChromium();
    page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction(() => "winnow" in globalThis);
    hosts = { Chromium: page as Host, Node: nodeHost(winnow) };
    await openEngine(hosts.Chromium, `${site.url}models/tiny.gguf`);
    await openEngine(hosts.Node, path);
    for (const [name, host] of Object.entries(hosts)) kept.set(name, await keep(host));
  });
  afterAll(async () => {
    if (hosts) await closeEngine(hosts.Node);
    await browser?.close();
    for (const one of [site, elsewhere]) one?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(FORMS)("goes on in the other as in its own, given as %s", async (form) => {
    for (const [saver, { base64, ...rest }] of kept) {
      const here = await goOn(hosts[saver as keyof typeof hosts], { base64, form });
      const { text } = checkGoneOn(here, { base64, ...rest });
      for (const host of Object.values(hosts))
        expect(checkGoneOn(await goOn(host, { base64, form }), { base64, ...rest }).text).toBe(
          text,
        );
    }
  });

  it.each(ADDRESSES)("is loaded, or refused, served $name", async (address) => {
    const chat = kept.get("Node")!;
    const at = address.elsewhere ? elsewhere : site;
    at.answers.set("/chat.winnow", address.answer(Buffer.from(chat.base64, "base64")));
    const found = await goOn(hosts.Chromium, { url: `${at.url}chat.winnow` });
    if (address.refused) return expect(found).toMatchObject(refusal(address.refused));
    checkGoneOn(found, chat);
    // Relative to the page, as an app names what it ships.
    if (!address.elsewhere) checkGoneOn(await goOn(hosts.Chromium, { url: "chat.winnow" }), chat);
  });

  it.each(ADDRESSES.filter(({ elsewhere }) => !elsewhere))(
    "is loaded, or refused, by Node, served $name",
    async ({ answer, refused }) => {
      const chat = kept.get("Chromium")!;
      site.answers.set("/chat.winnow", answer(Buffer.from(chat.base64, "base64")));
      const found = await goOn(hosts.Node, { url: `${site.url}chat.winnow` });
      if (refused) expect(found).toMatchObject(refusal(refused));
      else checkGoneOn(found, chat);
    },
  );

  it("waits for an answer that is under way, and may be given up meanwhile", async () => {
    const chat = kept.get("Node")!;
    for (const host of Object.values(hosts)) {
      const { answered, states, found } = await loadWhileAnswering(host, chat.base64);
      expect(answered).toBe(20);
      expect(states).toEqual(["loaded", "aborted", "loaded"]);
      expect(found).toEqual(chat.usage);
    }
  });

  it("is loaded by Node from a path, which may be wrong", async () => {
    const chat = kept.get("Chromium")!;
    const file = join(folder, "chat.winnow");
    writeFileSync(file, Buffer.from(chat.base64, "base64"));
    checkGoneOn(await goOn(hosts.Node, { url: file }), chat);
    expect(await goOn(hosts.Node, { url: join(folder, "none.winnow") })).toMatchObject({
      code: "bad_cache_file",
      hint: expect.stringContaining("Check the address"),
    });
  });

  it("ships with an app: what `winnow read` made of a document is loaded by address, and asked", async () => {
    const text = join(folder, "manual.md");
    const out = join(folder, "manual.winnow");
    writeFileSync(text, "# Manual\n\nTurn the red key twice to reset the pump. ".repeat(20));
    const settings = ["--budget", "64", "--policy", "k-norm", "--model", path, "--json"];
    const made = JSON.parse(
      execFileSync(process.execPath, [cli, "read", "--text", text, "--out", out, ...settings], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }),
    );
    const file = readFileSync(out);
    site.answers.set("/manual.winnow", inRanges(file));
    const found = await goOn(hosts.Chromium, { url: "manual.winnow" });
    expect(found).toMatchObject({
      usage: made.cache,
      messages: [{ role: "system", content: readFileSync(text, "utf8") }],
      cached: made.tokens,
    });
  });
});

const refusal = ({ code, message, hint }: { code: string; message: RegExp; hint: RegExp }) => ({
  code,
  message: expect.stringMatching(message),
  hint: expect.stringMatching(hint),
});
const inRanges = ADDRESSES[0]!.answer;
