import type { BrowserContext } from "playwright";
import { describe, expect, it } from "vitest";
import { formatBytes } from "../../demo/format.ts";
import { MODELS } from "../../src/fetch/resolve/model-registry.ts";
import { type DemoPage, pagePerTest } from "./demo-harness.ts";

/** How the page behaves, against the stand-in engine: no GPU, no weights. */
describe("demo page", () => {
  let url: string;
  let context: BrowserContext;
  let demo: DemoPage;

  pagePerTest((page) => {
    ({ url, context, demo } = page);
  });

  const open = async (query = "rate=150"): Promise<void> => {
    await demo.page.goto(`${url}?engine=fake&${query}&load=fast`);
  };

  it("says size and WebGPU before the download, then stage, bytes and time left", async () => {
    await open("load=slow");
    await demo.at("model-size").waitFor();
    expect(await demo.text(demo.at("model-size"))).toContain("98.4 MB");
    expect(await demo.at("gpu").getAttribute("data-state")).toBe("ready");
    await demo.at("load").click();
    await demo.page.waitForFunction(() =>
      /left/.test(
        document
          .querySelector("chat-app")
          ?.shadowRoot?.querySelector("load-card")
          ?.shadowRoot?.querySelector("load-progress")?.shadowRoot?.textContent ?? "",
      ),
    );
    expect(await demo.text(demo.at("load-figures"))).toMatch(/MB of 98\.4 MB · \d+ % · about/);
    await demo.at("cancel-load").click();
    await demo.at("load").waitFor();
    expect(await demo.at("status").getAttribute("data-state")).toBe("idle");
  });

  it("says before a download which models fit and by how much others are too big", async () => {
    // The real adapter, in a browser that reports 2 GiB of memory.
    await context.addInitScript(() =>
      Object.defineProperty(navigator, "deviceMemory", { value: 2 }),
    );
    await demo.page.goto(url);
    await demo.at("model-fit").waitFor();
    expect(await demo.at("model-fit").getAttribute("data-fits")).toBe("true");
    expect(await demo.text(demo.at("model-fit"))).toBe(
      "Fits: needs 123 MB of 1.07 GB assumed · Apache-2.0",
    );
    const names = await demo.at("model").locator("option").allTextContents();
    expect(names).toHaveLength(MODELS.length);
    const big = MODELS.map(({ budget, needs }) => Math.max(0, needs[budget]! - 2 ** 30));
    expect(big.filter((excess) => excess > 0).length).toBeGreaterThan(2);
    for (const [i, excess] of big.entries()) {
      expect(names[i]!.endsWith(", too big")).toBe(excess > 0);
      if (excess === 0) continue;
      await demo.at("model").selectOption({ index: i });
      expect(await demo.at("model-fit").getAttribute("data-fits")).toBe("false");
      expect(await demo.text(demo.at("model-fit"))).toContain(`Too big by ${formatBytes(excess)}`);
    }
  });

  it("says after a reload what is stored here, and loads it by one click", async () => {
    await open("load=slow&rate=150");
    expect(await demo.text(demo.at("model-size"))).toBe("98.4 MB to download, once");
    expect(await demo.at("stored-models").count()).toBe(0);
    // A part of it.
    await demo.at("load").click();
    await demo.at("load-figures").getByText("MB of 98.4 MB").waitFor();
    await demo.at("cancel-load").click();
    await demo.page.getByText(/of 98\.4 MB stored here, the rest to download/).waitFor();
    await open();
    await demo.load();
    await demo.page.reload();
    await demo.page.getByText("Stored here, 98.4 MB: nothing to download").waitFor();
    await demo.load();
  });

  it("lists what is stored, loads from the list, and removes after a question", async () => {
    await open();
    await demo.load();
    await demo.at("change-model").click();
    await demo.page.getByText("Use a model of your own").click();
    await demo.at("model-url").fill("https://example.org/some/other.gguf");
    await demo.at("model-url").press("Enter");
    await demo.at("composer").waitFor();
    await demo.page.reload();
    const list = demo.at("stored-models");
    expect(await demo.text(list.locator("summary"))).toBe(
      "Stored in this browser: 2 models, 197 MB",
    );
    await list.locator("summary").click();
    const facts = await demo.at("stored-facts").allTextContents();
    expect(facts.sort()).toEqual([
      "98.4 MB · used today · not verified",
      "98.4 MB · used today · verified",
    ]);
    const other = demo.at("stored").filter({ hasText: "other.gguf" });
    await other.getByTestId("load-stored").click();
    await demo.at("composer").waitFor();
    expect(await demo.text(demo.at("change-model"))).toBe("other.gguf");
    await demo.at("change-model").click();
    await list.locator("summary").click();
    await other.getByTestId("remove").click();
    await other.getByTestId("remove-no").click();
    expect(await demo.at("stored").count()).toBe(2);
    await other.getByTestId("remove").click();
    await other.getByTestId("remove-yes").click();
    await other.waitFor({ state: "detached" });
    await demo.at("remove").click();
    await demo.at("remove-yes").click();
    await list.waitFor({ state: "detached" });
    expect(await demo.text(demo.at("model-size"))).toBe("98.4 MB to download, once");
  });

  it("says that it waits for the server, and for how long", async () => {
    await open("waits&rate=150");
    await demo.at("load").click();
    await demo.page.getByText("Waiting for the server (retry in 3 s)").waitFor();
    // It counts down; a slow page may skip a second.
    await demo.page.getByText(/Waiting for the server \(retry in [12]\ss\)/).waitFor();
    await demo.at("composer").waitFor();
  });

  it("shows why loading failed, what to do, and tries again", async () => {
    await open("fail=load");
    await demo.at("load").click();
    await demo.at("load-error").waitFor();
    expect(await demo.at("load-error").getAttribute("data-code")).toBe("network");
    expect(await demo.text(demo.at("load-error"))).toContain("try again");
    await demo.load();
  });

  it("takes a model dropped anywhere, and refuses other files and addresses", async () => {
    await open();
    await demo.at("load").waitFor();
    const drop = (...names: string[]): Promise<void> =>
      demo.page.evaluate((files) => {
        const dataTransfer = new DataTransfer();
        for (const file of files) dataTransfer.items.add(new File(["GGUF"], file));
        for (const type of ["dragover", "drop"])
          document.body.dispatchEvent(
            new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }),
          );
      }, names);
    await drop("holiday.jpg");
    await demo.page.getByText("holiday.jpg is not a .gguf file.").waitFor();
    await demo.at("model-url").fill("ftp://example.org/a.gguf");
    await demo.at("model-url").press("Enter");
    await demo.page.getByText("not an http or https address").waitFor();
    await drop("mine.gguf");
    await demo.at("composer").waitFor();
    expect(await demo.text(demo.at("change-model"))).toBe("mine.gguf");
    await demo.at("change-model").click();
    await demo.at("load").waitFor();
    // A checkpoint with its JSON files and a template of its own.
    const checkpoint = ["config.json", "chat_template.jinja", "a.safetensors", "tokenizer.json"];
    await drop(...checkpoint);
    await demo.at("composer").waitFor();
    expect(await demo.text(demo.at("change-model"))).toBe("a.safetensors");
    await demo.at("change-model").click();
    await demo.page.getByText("Use a model of your own").click();
    const index = "model.safetensors.index.json";
    await demo.at("model-url").fill(`someone/some-model/${index}`);
    await demo.at("model-url").press("Enter");
    await demo.at("composer").waitFor();
    expect(await demo.text(demo.at("change-model"))).toBe(index);
  });

  it("streams Markdown, shows a model's markup as text, and links safely", async () => {
    await open("rate=400");
    await demo.load();
    await demo.ask("first");
    expect(await demo.text(demo.answer.locator("h2"))).toBe("What the cards are");
    expect(await demo.answer.locator("ol > li").count()).toBe(2);
    await demo.ask("second");
    expect(await demo.answer.locator("table tbody tr").count()).toBe(5);
    expect(await demo.answer.locator("script, b, img").count()).toBe(0);
    expect(await demo.text(demo.answer)).toContain("<script>alert(1)</script>");
    const links = await demo.answer
      .locator("a")
      .evaluateAll((all) => all.map((a) => [a.textContent, a.getAttribute("href")]));
    expect(links).toEqual([
      ["the river", "https://example.org/river"],
      ["its picture", "https://example.org/river.png"],
      ["a trap", null],
    ]);
    expect(await demo.answer.locator("a").first().getAttribute("rel")).toContain("noopener");
    expect(await demo.text(demo.answer.locator("pre code"))).toContain("gaps = [b - a");
  });

  it("keeps the text of a stopped answer, and goes on from there", async () => {
    await open("rate=30");
    await demo.load();
    await demo.send("a long story");
    await demo.streamed(40);
    await demo.page.keyboard.press("Escape");
    await demo.settled();
    expect(await demo.answer.getAttribute("data-status")).toBe("stopped");
    expect((await demo.text(demo.answer.locator(".prose"))).length).toBeGreaterThan(30);
    const seen = await demo.count("tokens-seen");
    await demo.send("go on");
    await demo.streamed(10);
    await demo.at("stop").click();
    await demo.settled();
    expect(await demo.count("tokens-seen")).toBeGreaterThan(seen);
    expect(await demo.at("message-assistant").count()).toBe(2);
  });

  it("acts on the budget while an answer streams, and the gauge follows", async () => {
    await open("rate=80");
    await demo.load();
    await demo.send("a long story");
    await demo.streamed(1200);
    const before = await demo.count("gauge-bytes", "bytes");
    await demo.budgetStep(2);
    await demo.page.waitForFunction(
      ([element, most]) => Number(element?.getAttribute("data-bytes")) < most,
      [await demo.at("gauge-bytes").elementHandle(), before / 1.5] as const,
    );
    expect(await demo.answer.getAttribute("data-status")).toBe("streaming");
    expect(await demo.text(demo.at("budget-value"))).toBe("128 pairs per head");
    expect(await demo.count("pairs-evicted")).toBeGreaterThan(0);
    await demo.settled();
    expect(await demo.count("gauge-uncompressed", "bytes")).toBeGreaterThan(
      2 * (await demo.count("gauge-bytes", "bytes")),
    );
    expect(await demo.text(demo.at("retention-words"))).toMatch(/% of all pairs kept/);
  });

  it("refuses a budget that its window fills, returns to the truth, and offers a way", async () => {
    await open();
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    await demo.at("window").fill("62");
    await demo.at("window").blur();
    await demo.page.waitForTimeout(500);
    await demo.budgetStep(0);
    await demo.at("cache-error").waitFor();
    expect(await demo.at("cache-error").getAttribute("data-code")).toBe("invalid_argument");
    expect(await demo.at("budget").inputValue()).toBe("6");
    expect(await demo.text(demo.at("budget-value"))).toBe("512 pairs per head");
    await demo.at("remedy").click();
    await demo.at("cache-error").waitFor({ state: "detached" });
    await demo.page.waitForTimeout(500);
    expect(await demo.text(demo.at("budget-value"))).toBe("64 pairs per head");
  });

  it("takes what the API takes in its fields, and says beside a field what it does not take", async () => {
    await open();
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    const type = async (name: string, text: string): Promise<void> => {
      await demo.at(name).fill(text);
      await demo.at(name).blur();
    };
    for (const [name, text, shown] of [
      ["window", "0", "24"],
      ["window", "1.5", "24"],
      ["sinks", "", "4"],
      ["temperature", "5.1", "0.7"],
      ["max-tokens", "0", "512"],
    ] as const) {
      await type(name, text);
      await demo.at(`${name}-problem`).waitFor();
      expect(await demo.text(demo.at(`${name}-problem`))).toMatch(/^Use a (whole )?number from/);
      expect(await demo.at(name).inputValue()).toBe(shown);
    }
    for (const [name, text] of [
      ["window", "1"],
      ["sinks", "0"],
      ["temperature", "0.75"],
      ["max-tokens", "100000"],
    ] as const) {
      await type(name, text);
      await demo.at(`${name}-problem`).waitFor({ state: "detached" });
      await demo.page.waitForTimeout(400);
      expect(await demo.at(name).inputValue()).toBe(text);
    }
    // The engine's own refusal stands where the setting is.
    await type("whole-layers", "31");
    await demo.at("advanced").getByTestId("cache-error").waitFor();
    expect(await demo.at("whole-layers").inputValue()).toBe("0");
  });

  it("shows each policy's own window until one is chosen", async () => {
    await open();
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    const shown = (value: string): Promise<void> =>
      expect.poll(() => demo.at("window").inputValue()).toBe(value);
    await shown("24");
    await demo.at("policy").selectOption("lag-kv");
    await shown("128");
    await demo.at("policy").selectOption("q-filters");
    await shown("64");
    await demo.at("window").fill("40");
    await demo.at("window").blur();
    await shown("40");
    await demo.at("policy").selectOption("lag-kv");
    await demo.page.waitForTimeout(400);
    await shown("40");
  });

  it("couples the full policy with the full budget, both ways", async () => {
    await open();
    await demo.load();
    await demo.at("policy").selectOption("full");
    expect(await demo.text(demo.at("budget-value"))).toBe("no limit");
    await demo.budgetStep(4);
    expect(await demo.at("policy").inputValue()).toBe("winnow");
    await demo.page.waitForTimeout(500);
    expect(await demo.text(demo.at("budget-value"))).toBe("256 pairs per head");
    expect(await demo.at("cache-error").count()).toBe(0);
  });

  it("keeps as many of the first layers whole as are asked for", async () => {
    await open("rate=400");
    await demo.load();
    await demo.at("advanced").locator("summary").click();
    await demo.at("whole-layers").fill("30");
    await demo.at("whole-layers").blur();
    await demo.budgetStep(0);
    await demo.ask("a long story");
    expect(await demo.count("pairs-evicted")).toBe(0);
    await demo.at("whole-layers").fill("2");
    await demo.at("whole-layers").blur();
    await expect.poll(() => demo.count("pairs-evicted")).toBeGreaterThan(0);
    expect(await demo.text(demo.at("retention-words"))).toMatch(/% of all pairs kept/);
  });

  it("keeps messages after an error, retries, takes a question back, starts over", async () => {
    await open("rate=300&fail=answer");
    await demo.load();
    await demo.ask("why is the sky blue?");
    expect(await demo.text(demo.at("message-error"))).toContain("device was lost");
    expect(await demo.text(demo.answer.locator(".prose"))).toContain("Imagine");
    await demo.at("retry").click();
    await demo.settled();
    expect(await demo.at("message-assistant").count()).toBe(1);
    await demo.at("edit").click();
    expect(await demo.at("composer").inputValue()).toBe("why is the sky blue?");
    expect(await demo.at("message-user").count()).toBe(0);
    await demo.ask("again");
    await demo.at("new-chat").click();
    await demo.at("suggestion").first().waitFor();
    expect(await demo.count("tokens-seen")).toBe(0);
    expect(await demo.count("gauge-bytes", "bytes")).toBe(0);
  });

  it("follows the answer at its end, and leaves a reader who scrolled up alone", async () => {
    await open("rate=300");
    await demo.load();
    await demo.ask("a long story");
    await demo.ask("a long story");
    const scroller = demo.page.getByRole("region", { name: "Conversation" });
    const gap = (): Promise<number> =>
      scroller.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
    await expect.poll(gap).toBeLessThan(2);
    await demo.send("a long story");
    await demo.streamed(300);
    await scroller.hover();
    await demo.page.mouse.wheel(0, -600);
    await demo.settled();
    await expect.poll(gap).toBeGreaterThan(500);
    await demo.page.getByRole("button", { name: "Latest" }).click();
    await expect.poll(gap).toBeLessThan(2);
  });

  it("reads the retention of a token by keyboard and spells the tokens out", async () => {
    await open("rate=400");
    await demo.load();
    await demo.ask("first");
    const strip = demo.page.getByRole("slider", { name: "Tokens of the conversation" });
    await strip.focus();
    await demo.page.keyboard.press("Home");
    expect(await demo.text(demo.at("retention-words"))).toMatch(/kept by 90 of 90 heads · token/);
    expect(await strip.getAttribute("aria-valuetext")).toContain("kept by 90 of 90 heads");
    await demo.at("read-tokens").click();
    expect(await demo.text(demo.at("token-reader"))).toContain("Imagine you are listening");
  });

  it("speaks answers in sentences, not tokens", async () => {
    await open("rate=60");
    await demo.load();
    const said = demo.page.evaluate(
      () =>
        new Promise<string[]>((resolve) => {
          const region = document
            .querySelector("chat-app")
            ?.shadowRoot?.querySelector("[aria-live]");
          const heard: string[] = [];
          new MutationObserver(() => {
            heard.push(region?.textContent ?? "");
            if ((region?.textContent ?? "").includes("throw away")) resolve(heard);
          }).observe(region!, { characterData: true, childList: true, subtree: true });
        }),
    );
    await demo.ask("first");
    const heard = await said;
    expect(heard.length).toBeLessThan(6);
    expect(heard.join(" ")).toContain("Imagine you are listening to a very long story.");
  });

  it("calibrates from the advanced settings, shows how far it is, and can be stopped", async () => {
    await open("rate=150&notice");
    await demo.load();
    await demo.at("notices").waitFor();
    await demo.at("advanced").locator("summary").click();
    await demo.at("calibrate").click();
    await demo.at("calibration-stage").waitFor();
    await demo.at("calibrate-stop").click();
    await demo.at("calibrate").waitFor();
    expect(await demo.text(demo.at("calibration-result"))).toBe("");
    await demo.at("calibrate-texts").setInputFiles({
      name: "mine.txt",
      mimeType: "text/plain",
      buffer: Buffer.from("words of mine"),
    });
    await demo.at("calibration-stage").waitFor();
    await demo.at("calibrate").waitFor({ timeout: 20_000 });
    const said = await demo.text(demo.at("calibration-result"));
    expect(said).toMatch(/Done: 1024 queries per head, 63 % .* Kept for the next time/s);
    await demo.at("notices").waitFor({ state: "detached" });
  });

  it("made narrower, hides the chats and the panel at once", async () => {
    await open();
    await demo.load();
    await demo.page.setViewportSize({ width: 900, height: 800 });
    for (const name of ["chat-nav", "panel"]) {
      const drawer = demo.at(name);
      const moving = await drawer.evaluate((element) => {
        const { visibility } = getComputedStyle(element);
        return [visibility, element.getAnimations().length];
      });
      expect([name, ...moving]).toEqual([name, "hidden", 0]);
    }
    await demo.at("open-panel").click();
    await demo.at("budget").waitFor();
  });

  it("fits a phone: nothing scrolls sideways, the cache is a sheet that Escape closes", async () => {
    await demo.page.setViewportSize({ width: 360, height: 640 });
    await open("rate=400");
    await demo.load();
    await demo.ask("first");
    await demo.ask("second");
    expect(
      await demo.page.evaluate(() => document.documentElement.scrollWidth),
    ).toBeLessThanOrEqual(360);
    const list = demo.page.getByRole("region", { name: "Conversation" });
    expect(await list.evaluate((element) => getComputedStyle(element).overflowX)).toBe("hidden");
    expect(await demo.at("budget").isVisible()).toBe(false);
    await demo.at("open-panel").click();
    await demo.at("budget").waitFor();
    await demo.page.keyboard.press("Escape");
    await demo.at("budget").waitFor({ state: "hidden" });
  });
});
