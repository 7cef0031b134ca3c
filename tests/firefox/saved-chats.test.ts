import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser as Chromium } from "playwright";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as winnow from "../../src/node.ts";
import { launchChromium } from "../chromium.ts";
import {
  ADDRESSES,
  checkGoneOn,
  closeEngine,
  goOn,
  type Host,
  type Kept,
  keep,
  nodeHost,
  openEngine,
} from "../e2e/saved-chats-hosts.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { launchFirefox } from "./firefox.ts";
import { type Site, servePackage } from "./site.ts";

/** Letters that two adapters agree on: their sums differ in the last bits, and the model's weights are random. */
const LETTERS = 3;
const MODEL = tinyModel("f32");

describe("a saved chat in Firefox, Chromium and Node", () => {
  const folder = mkdtempSync(join(tmpdir(), "winnow-kept-"));
  let firefox: Browser;
  let chromium: Chromium;
  let site: Site;
  let elsewhere: Site;
  const hosts = new Map<string, Host>();
  const kept = new Map<string, Kept>();

  beforeAll(async () => {
    const path = join(folder, "tiny.gguf");
    writeFileSync(path, MODEL);
    [site, elsewhere] = await Promise.all([servePackage(MODEL), servePackage(MODEL)]);
    [firefox, chromium] = [await launchFirefox(), await launchChromium()];
    const [first, second] = [await firefox.newPage(), await chromium.newPage()];
    await Promise.all([first.goto(site.url), second.goto(site.url)]);
    await first.waitForFunction(() => "winnow" in globalThis);
    await second.waitForFunction(() => "winnow" in globalThis);
    hosts.set("Firefox", first as Host).set("Chromium", second as Host);
    hosts.set("Node", nodeHost(winnow));
    for (const [name, host] of hosts) {
      await openEngine(host, name === "Node" ? path : `${site.url}models/tiny.gguf`);
      kept.set(name, await keep(host));
    }
  });
  afterAll(async () => {
    const node = hosts.get("Node");
    if (kept.has("Node") && node) await closeEngine(node);
    await Promise.all([firefox?.close(), chromium?.close()]);
    for (const one of [site, elsewhere]) one?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(["Firefox", "Chromium", "Node"])(
    "that %s saved goes on in all of them",
    async (saver) => {
      const chat = kept.get(saver)!;
      const source = { base64: chat.base64, form: "File" } as const;
      const { text } = checkGoneOn(await goOn(hosts.get(saver)!, source), chat);
      expect(text.length).toBeGreaterThan(LETTERS);
      for (const [name, host] of hosts) {
        const found = checkGoneOn(await goOn(host, source), chat);
        // One adapter has one answer.
        const sameAdapter = name === saver || (name !== "Firefox" && saver !== "Firefox");
        if (sameAdapter) expect(found.text).toBe(text);
        else expect(found.text.slice(0, LETTERS)).toBe(text.slice(0, LETTERS));
      }
    },
  );

  it.each(ADDRESSES)("is loaded in Firefox, or refused, served $name", async (address) => {
    const chat = kept.get("Chromium")!;
    const at = address.elsewhere ? elsewhere : site;
    at.answers.set("/chat.winnow", address.answer(Buffer.from(chat.base64, "base64")));
    const found = await goOn(hosts.get("Firefox")!, { url: `${at.url}chat.winnow` });
    if (!address.refused) return void checkGoneOn(found, chat);
    const { code, message, hint } = address.refused;
    expect(found).toMatchObject({
      code,
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });
});
