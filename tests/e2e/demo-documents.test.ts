import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type DemoPage, pagePerTest } from "./demo-harness.ts";
import { makeDocx, makePdf, makeZip } from "./sample-documents.ts";

const OUTPUT = fileURLToPath(new URL("../output/demo", import.meta.url));

/** Documents on the page, against the stand-in engine: no GPU, no weights. */
describe("documents of the page", () => {
  let url: string;
  let demo: DemoPage;

  pagePerTest((page) => {
    ({ url, demo } = page);
  });
  beforeAll(() => {
    mkdirSync(OUTPUT, { recursive: true });
  });
  beforeEach(async () => {
    await demo.page.goto(`${url}?engine=fake&rate=1000&load=fast`);
    await demo.load();
  });

  const choose = (name: string, buffer: Buffer): Promise<void> =>
    demo.at("documents").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  const chips = () => demo.at("attachment");
  const chip = async (state: "ready" | "saving" | "failed"): Promise<string> => {
    const found = demo.page.locator(`[data-testid=attachment][data-state=${state}]`);
    await found.first().waitFor({ timeout: 60_000 });
    return demo.text(found.first());
  };
  /** What the model has read, as the strip knows it. */
  const read = async (): Promise<string> => {
    await demo.at("read-tokens").click();
    return (await demo.at("token-reader").textContent()) ?? "";
  };

  it("reads a PDF of 30 pages with its question, keeps it with the chat, and shows what was kept of it", async () => {
    const pages = Array.from({ length: 30 }, (_, i) => [
      `Page ${i + 1} of the great book (with notes).`,
      `Field ${i + 1} gave ${100 + 7 * i} sacks of wheat and ${50 + 3 * i} of rye.`,
    ]);
    await choose("harvest.pdf", makePdf(pages));
    expect(await chip("ready")).toMatch(/^harvest\.pdf · PDF, 30 pages · about [\d,]+ tokens/);
    await demo.page.screenshot({ path: `${OUTPUT}/documents-1-chip.png` });
    await demo.send("Which field gave most?");
    await demo.at("reading").waitFor();
    await expect
      .poll(() => demo.text(demo.at("reading")), { interval: 20 })
      .toMatch(/^Reading harvest\.pdf: [\d,]+ of [\d,]+ tokens read, about (a second|\d+ s) left$/);
    await demo.page.screenshot({ path: `${OUTPUT}/documents-2-reading.png` });
    await demo.settled();
    expect(await chips().count()).toBe(0);
    expect(await demo.count("tokens-seen")).toBeGreaterThan(800);
    expect(await demo.at("reread").isChecked()).toBe(true);
    await demo.at("document").locator("summary").click();
    expect(await demo.text(demo.at("document"))).toContain("Field 30 gave 303 sacks of wheat");
    const tokens = await read();
    expect(tokens).toContain("Page 1 of the great book (with notes).");
    expect(tokens.indexOf("Field 30 gave")).toBeLessThan(tokens.indexOf("Which field gave most?"));
    const strip = demo.page.getByRole("slider", { name: "Tokens of the conversation" });
    await strip.focus();
    for (let i = 0; i < 2; i++) await demo.page.keyboard.press("Home");
    for (let i = 0; i < 8; i++) await demo.page.keyboard.press("ArrowRight");
    expect(await demo.text(demo.at("retention-context"))).toContain("harvest.pdf");
    await demo.page.screenshot({ path: `${OUTPUT}/documents-3-read.png` });
    await demo.page.waitForTimeout(800);
    await demo.page.reload();
    expect(await demo.text(demo.at("document"))).toContain("harvest.pdf · PDF, 30 pages");
    await demo.load();
    await demo.at("edit").click();
    await chip("ready");
    expect(await demo.at("composer").inputValue()).toBe("Which field gave most?");
  });

  it("says how far a long paste is read, aloud too, and stops within a chunk of it", async () => {
    const text = Array.from({ length: 700 }, (_, i) => `sack ${i}`).join(", ");
    await demo.page.goto(`${url}?engine=fake&rate=1000&read=300&load=fast`);
    await demo.load();
    await choose("sacks.txt", Buffer.from(text));
    await chip("ready");
    // The user's word counts for more than the document.
    await demo.at("advanced").locator("summary").click();
    await demo.at("reread").check();
    await demo.at("reread").uncheck();
    await demo.send("Which sack is last?");
    const bar = demo.page.getByRole("progressbar", { name: "Reading your message" });
    await expect.poll(async () => Number(await bar.getAttribute("value"))).toBeGreaterThan(0);
    const part = Number(await bar.getAttribute("value"));
    await expect.poll(async () => Number(await bar.getAttribute("value"))).toBeGreaterThan(part);
    expect(await demo.text(demo.at("reading"))).toMatch(/tokens read, about \d+ s left$/);
    // Once, and not at every step.
    const said = await demo.text(demo.at("announcer"));
    expect(said).toMatch(/^[\d,]+ of [\d,]+ tokens read, about \d+ s left$/);
    await demo.page.waitForTimeout(1500);
    expect(await demo.text(demo.at("announcer"))).toBe(said);
    const [, total] = /of ([\d,]+) tokens/.exec(said)!;
    await demo.at("stop").click();
    await demo.settled(1500);
    expect(await demo.answer.getAttribute("data-status")).toBe("stopped");
    expect(await demo.count("tokens-seen")).toBeLessThan(Number(total!.replaceAll(",", "")) / 2);
    expect(await demo.at("reread").isChecked()).toBe(false);
    // Retry goes on with what was read.
    const seen = await demo.count("tokens-seen");
    await demo.at("retry").click();
    await demo.settled(60_000);
    expect(await demo.count("tokens-reused")).toBe(seen);
  });

  it("takes text, Markdown, HTML and Word, dropped or picked, and a long paste", async () => {
    await choose("a.docx", makeDocx(["Spelt &amp; oats", "Second paragraph"]));
    expect(await chip("ready")).toContain("a.docx · Word");
    const html = `<!doctype html><title>no</title><style>p{}</style><script>document.title="run"</script><h1>Barley</h1><p>For <b>beer</b>.</p><table><tr><td>a</td><td>b</td></tr></table><img src="https://example.org/x.png">`;
    await demo.page.evaluate(
      ([html]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([html!], "b.html"));
        dataTransfer.items.add(new File(["# Rye\n\nGr\u00fc\u00dfe"], "c.md"));
        for (const type of ["dragover", "drop"])
          document.body.dispatchEvent(
            new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }),
          );
        const clipboardData = new DataTransfer();
        clipboardData.setData("text/plain", "pasted words ".repeat(400));
        const field = document
          .querySelector("chat-app")
          ?.shadowRoot?.querySelector("chat-composer")
          ?.shadowRoot?.querySelector("textarea");
        field?.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
      },
      [html] as const,
    );
    await choose("old.txt", Buffer.from("na\xefve caf\xe9", "latin1"));
    await expect
      .poll(() => demo.page.locator("[data-testid=attachment][data-state=ready]").count())
      .toBe(5);
    await demo.at("send").click();
    await demo.settled();
    const tokens = await read();
    expect(tokens).toContain("Spelt & oats\n\nSecond paragraph");
    expect(tokens).toContain("Barley\n\nFor beer.\n\na | b");
    expect(tokens).toContain("# Rye\n\nGr\u00fc\u00dfe");
    expect(tokens).toContain("na\u00efve caf\u00e9");
    expect(tokens).toContain("pasted words pasted words");
    expect(tokens).not.toContain("document.title");
    expect(await demo.page.title()).not.toBe("run");
  });

  it("has a document read for a file, which begins a chat anywhere; given up, it is as before", async () => {
    const text = Array.from({ length: 300 }, (_, i) => `Field ${i} gave ${7 * i} sacks.`).join(
      "\n",
    );
    await choose("harvest 2026.txt", Buffer.from(text));
    await chip("ready");
    await demo.at("save-attachment").click();
    expect(await chip("saving")).toMatch(/^harvest 2026\.txt is being read for a file/);
    expect(await demo.at("send").isDisabled()).toBe(true);
    await demo.page.screenshot({ path: `${OUTPUT}/documents-4-saving.png` });
    await demo.at("remove-attachment").click();
    await chip("ready");
    const [download] = await Promise.all([
      demo.page.waitForEvent("download"),
      demo.at("save-attachment").click(),
    ]);
    expect(download.suggestedFilename()).toBe("harvest-2026.winnow");
    await chip("ready");
    // The chat that is open knows nothing of it.
    expect(await demo.count("tokens-seen")).toBe(0);
    await demo.at("remove-attachment").click();
    await demo.at("documents").setInputFiles({
      name: download.suggestedFilename(),
      mimeType: "application/octet-stream",
      buffer: readFileSync(await download.path()),
    });
    await expect.poll(() => demo.count("tokens-seen")).toBeGreaterThan(1300);
    const seen = await demo.count("tokens-seen");
    await demo.ask("Which field gave most?");
    expect(await demo.count("tokens-reused")).toBeGreaterThanOrEqual(seen);
  });

  it.each([
    ["scan.pdf", makePdf([[], []]), "has no text: its 2 pages are pictures, as of a scan"],
    ["locked.pdf", makePdf([["secret"]], { encrypted: true }), "is encrypted"],
    ["cut.pdf", Buffer.from("%PDF-1.7\nand no more"), "is damaged, or no PDF"],
    ["not.pdf", Buffer.from("just words"), "is no PDF"],
    ["not.docx", Buffer.from("just words"), "is no Word document"],
    ["other.docx", makeZip({ "a.txt": "words" }), "is no Word document (.docx), or it is damaged"],
    ["bomb.docx", makeDocx(["boom"], 0xfffffff0), "is too large: it unpacks to more than 300 MB"],
    ["old.doc", Buffer.from("d0cf11e0a1b11ae1", "hex"), "is encrypted, or an old Word file"],
    ["picture.png", Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "latin1"), "is a binary file"],
    ["empty.txt", Buffer.from(" \n"), "holds no text"],
    ["huge.txt", Buffer.alloc(5_000_000, "word "), "is too large"],
  ])("says what is wrong with %s, and sends nothing of it", async (name, bytes, said) => {
    await choose(name, bytes);
    expect(await chip("failed")).toContain(`${name} ${said}`);
    expect(await demo.at("send").isDisabled()).toBe(true);
    await demo.at("remove-attachment").click();
    await chips().waitFor({ state: "detached" });
  });
});
