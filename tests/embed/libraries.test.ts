import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { call, ScriptedEngine, text } from "../unit/clients/scripted-engine.ts";
import { type App, prepareApp } from "./harness/app.ts";
import { packWithTiny } from "./harness/package.ts";
import { ROOT } from "./harness/paths.ts";

const NAMES = ["LangChain", "assistant-ui", "deep-chat", "WebMCP"] as const;
type Name = (typeof NAMES)[number];

/** The guide's examples for other libraries, compiled against these as they are published, and run over a scripted engine. */
describe("the guide's examples for other libraries", () => {
  let app: App;
  const guide = readFileSync(join(ROOT, "demo/guide/clients.md"), "utf8");
  const exampleOf = (name: Name): string => {
    const section = guide.split(/^## /m).find((one) => one.startsWith(`${name}\n`)) ?? "";
    return /```ts\n(.*?)```/s.exec(section)?.[1] ?? "";
  };

  beforeAll(async () => {
    app = await prepareApp("libraries", packWithTiny());
    for (const name of NAMES) writeFileSync(join(app.dir, `${name}.ts`), exampleOf(name));
    const options =
      "--strict --skipLibCheck --target ES2022 --lib ES2022,DOM,DOM.Iterable --module ESNext --moduleResolution bundler --ignoreConfig";
    const files = NAMES.map((name) => `${name}.ts`);
    execFileSync(
      process.execPath,
      ["node_modules/typescript/bin/tsc", ...options.split(" "), ...files],
      {
        cwd: app.dir,
        encoding: "utf8",
      },
    );
  });
  const load = (name: Name) => import(join(app.dir, `${name}.js`));

  it.each(NAMES)("%s: at most 20 lines besides imports", (name) => {
    const code = exampleOf(name).replace(/^import [^;]*;$/gm, "");
    const lines = code.split("\n").filter((line) => line !== "");
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.length).toBeLessThanOrEqual(20);
  });

  it("LangChain: invoke, stream and an abort", async () => {
    const { chatModelOf } = await load("LangChain");
    const script = new ScriptedEngine();
    const model = chatModelOf(script.engine);
    const answer = await model.invoke(
      [
        ["system", "Be brief."],
        ["human", "Hi"],
      ],
      { stop: ["END"] },
    );
    expect(answer.content).toBe("Hello!");
    expect(script.asked[0]!.request).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
      ],
      stop: ["END"],
    });
    const pieces: string[] = [];
    for await (const chunk of await model.stream("Hi"))
      if (chunk.content) pieces.push(chunk.content);
    expect(pieces).toEqual(["Hello", "!"]);
    const signal = AbortSignal.abort();
    await expect(model.invoke("Hi", { signal })).rejects.toThrow();
  });

  it("assistant-ui: yields what is said so far", async () => {
    const { adapterOf } = await load("assistant-ui");
    const script = new ScriptedEngine();
    const messages = [{ role: "user", content: [{ type: "text", text: "Hi" }, { type: "image" }] }];
    const said: unknown[] = [];
    const { signal: abortSignal } = new AbortController();
    for await (const { content } of adapterOf(script.engine).run({ messages, abortSignal }))
      said.push(content[0].text);
    expect(said.at(-1)).toBe("Hello!");
    expect(script.asked[0]!.request.messages).toEqual([{ role: "user", content: "Hi" }]);
  });

  it("deep-chat: opens, streams and closes; stops", async () => {
    const { connectTo } = await load("deep-chat");
    const talk = async (script: ScriptedEngine, stopAt?: number) => {
      const heard: unknown[] = [];
      const signals = {
        onOpen: () => heard.push("open"),
        onResponse: ({ text, error }: { text?: string; error?: string }) => {
          if (text || error) heard.push(text ?? error);
          if (heard.length === stopAt) signals.stopClicked.listener();
        },
        onClose: () => heard.push("close"),
        stopClicked: { listener: () => {} },
      };
      const body = {
        messages: [
          { role: "ai", text: "Yes?" },
          { role: "user", text: "Hi" },
        ],
      };
      await connectTo(script.engine).handler(body, signals);
      return heard;
    };
    const script = new ScriptedEngine();
    expect(await talk(script)).toEqual(["open", "Hello", "!", "close"]);
    expect(script.asked[0]!.request.messages.map(({ role }) => role)).toEqual([
      "assistant",
      "user",
    ]);
    const long = new ScriptedEngine(() => ({ deltas: text(..."a long answer") }));
    expect((await talk(long, 3)).length).toBeLessThan(6);
    const broken = new ScriptedEngine(() => ({ deltas: [] }));
    await broken.close();
    expect(await talk(broken)).toEqual(["the engine is closed"]);
  });

  it("WebMCP: a page's tool is called and its result told", async () => {
    const { askWithTools } = await load("WebMCP");
    const script = new ScriptedEngine((_asked, count) =>
      count === 0
        ? { deltas: call("1", "weather", '{"town":"Oslo"}'), finish: "tool_calls" }
        : { deltas: text("Cold.") },
    );
    const tool = {
      name: "weather",
      description: "The weather",
      inputSchema: { type: "object" },
      execute: async ({ town }: { town: string }) => ({ town, degrees: 7 }),
    };
    // `execute` does not cross to the script's record of requests, no more than to a worker.
    const tools = [
      Object.defineProperty({ ...tool }, "execute", { value: tool.execute, enumerable: false }),
    ];
    expect(await askWithTools(script.engine, tools, [{ role: "user", content: "Weather?" }])).toBe(
      "Cold.",
    );
    expect(script.asked[1]!.request.messages.at(-1)).toMatchObject({
      role: "tool",
      tool_call_id: "1",
      content: '{"town":"Oslo","degrees":7}',
    });
  });
});
