import type { ElementHandle, Page } from "puppeteer-core";
import { expect } from "vitest";

const SLOW = 300_000;

/** What a user does on the chat page in Firefox. `problems` collects warnings and errors of its console. */
export class PageDriver {
  readonly page: Page;
  readonly problems: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) this.problems.push(message.text());
    });
  }

  until(what: () => Promise<boolean>): Promise<void> {
    return expect.poll(what, { timeout: SLOW }).toBe(true);
  }

  /** All elements of a test id, through shadow roots. */
  all(testId: string): Promise<ElementHandle<HTMLInputElement>[]> {
    return this.page.$$(`>>> [data-testid="${testId}"]`) as Promise<
      ElementHandle<HTMLInputElement>[]
    >;
  }

  /** The last element of a selector through shadow roots, once there is one: their changes are not observed, so asked for. */
  async find(selector: string): Promise<ElementHandle<HTMLInputElement>> {
    await this.until(async () => (await this.page.$(selector)) !== null);
    return (await this.page.$$(selector)).at(-1) as ElementHandle<HTMLInputElement>;
  }

  at(testId: string): Promise<ElementHandle<HTMLInputElement>> {
    return this.find(`>>> [data-testid="${testId}"]`);
  }

  async click(testId: string): Promise<void> {
    await (await this.at(testId)).evaluate((element) => element.click());
  }

  /** Opens what a summary hides. */
  async open(parent: string): Promise<void> {
    const summary = await this.find(`>>> [data-testid="${parent}"] >>> summary`);
    await summary.evaluate((element) => element.click());
  }

  async data(testId: string, name: string): Promise<string | null> {
    const element = await this.at(testId);
    return element.evaluate((element, name) => element.getAttribute(`data-${name}`), name);
  }

  async number(testId: string, name = "count"): Promise<number> {
    return Number(await this.data(testId, name));
  }

  /** With runs of white space as one space. */
  async text(testId: string): Promise<string> {
    const text = await (await this.at(testId)).evaluate((element) => element.textContent ?? "");
    return text.replace(/\s+/g, " ").trim();
  }

  async texts(testId: string): Promise<string[]> {
    const elements = await this.all(testId);
    return Promise.all(
      elements.map((element) => element.evaluate(({ textContent }) => textContent?.trim() ?? "")),
    );
  }

  async says(words: string): Promise<void> {
    await this.until(async () => (await this.texts("notice")).some((text) => text.includes(words)));
  }

  async answer(): Promise<string> {
    return (await this.at("message-assistant")).evaluate(
      (element) => element.querySelector(".prose")?.textContent?.trim() ?? "",
    );
  }

  /** As a user who types it does, and goes on to the next field. */
  async set(testId: string, value: string): Promise<void> {
    await (await this.at(testId)).evaluate((element, value) => {
      element.focus();
      element.value = value;
      for (const type of ["input", "change"])
        element.dispatchEvent(new Event(type, { bubbles: true }));
    }, value);
  }

  async send(text: string): Promise<void> {
    await this.set("composer", text);
    await this.page.keyboard.press("Enter");
    await this.at("stop");
  }

  async ask(text: string): Promise<void> {
    await this.send(text);
    await this.at("send");
  }

  /** Loads the model that the page offers. */
  async load(): Promise<void> {
    await this.click("load");
    await this.at("composer");
  }

  /** Loads a model by its address. */
  async loadFrom(address: string): Promise<void> {
    await (await this.find(">>> own-model >>> summary")).evaluate((element) => element.click());
    await this.set("model-url", address);
    await this.page.keyboard.press("Enter");
    await this.at("composer");
  }

  /** Chooses a file in a field for files. */
  async choose(testId: string, name: string, bytes: Uint8Array): Promise<void> {
    const base64 = Buffer.from(bytes).toString("base64");
    await (await this.at(testId)).evaluate(
      async (element, name, base64) => {
        const bytes = await (await fetch(`data:;base64,${base64}`)).arrayBuffer();
        const chosen = new DataTransfer();
        chosen.items.add(new File([bytes], name));
        element.files = chosen.files;
        element.dispatchEvent(new Event("change", { bubbles: true }));
      },
      name,
      base64,
    );
  }

  /** The bytes of what pressing a button downloads. */
  async download(testId: string): Promise<Buffer> {
    await this.page.evaluate(() => {
      const { click } = HTMLAnchorElement.prototype;
      HTMLAnchorElement.prototype.click = function () {
        HTMLAnchorElement.prototype.click = click;
        Object.assign(window, { downloaded: this.href });
      };
    });
    await this.click(testId);
    await this.until(() => this.page.evaluate(() => "downloaded" in window));
    const base64 = await this.page.evaluate(async () => {
      const blob = await (await fetch(Reflect.get(window, "downloaded"))).blob();
      const reader = new FileReader();
      reader.readAsDataURL(blob);
      await new Promise((resolve) => {
        reader.onload = resolve;
      });
      return String(reader.result).split(",")[1]!;
    });
    return Buffer.from(base64, "base64");
  }
}
