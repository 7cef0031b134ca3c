/** A chat that is saved in one host of the engine (Chromium, Firefox, Node) and loaded in another. */
import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import type * as Winnow from "../../src/index.ts";
import { type Site, sendRanges } from "../firefox/site.ts";

/** A page with the package under `winnow` of its window, or this process. */
export interface Host {
  evaluate<A, T>(work: (given: A) => Promise<T>, given: A): Promise<T>;
}

interface Held {
  winnow: Pick<typeof Winnow, "createEngine">;
  engine: Winnow.Engine;
}

/** Runs what pages run in this process, with the package for Node. */
export function nodeHost(winnow: Held["winnow"]): Host {
  Object.assign(globalThis, { winnow });
  return { evaluate: (work, given) => work(given) };
}

export const openEngine = (host: Host, model: string): Promise<void> =>
  host.evaluate(async (model) => {
    const held = globalThis as unknown as Held;
    held.engine = await held.winnow.createEngine({
      model,
      cache: { budget: 64, policy: "k-norm" },
      calibrate: "off",
      download: { retries: 1 },
    });
  }, model);

export const closeEngine = (host: Host): Promise<void> =>
  host.evaluate(async () => (globalThis as unknown as Held).engine.close(), undefined);

export interface Kept {
  base64: string;
  messages: Winnow.ChatMessage[];
  usage: Winnow.CacheUsage;
}

/** Asks, and saves the chat that evicts by then. */
export const keep = (host: Host): Promise<Kept> =>
  host.evaluate(async () => {
    const { engine } = globalThis as unknown as Held;
    const conversation = "kept";
    const content = Array.from({ length: 20 }, (_, i) => `basket ${i} holds apples`).join("; ");
    const messages = [{ role: "user" as const, content }];
    const request = { messages, max_tokens: 3, temperature: 0 };
    await engine.chat.completions.create(request, { conversation });
    const bytes = new Uint8Array(await (await engine.cache.save({ conversation })).arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    const usage = engine.cache.usage({ conversation });
    return { base64: btoa(text), usage, messages };
  }, undefined);

export interface GoneOn {
  usage: Winnow.CacheUsage;
  messages: Winnow.ChatMessage[];
  text: string;
  cached: number;
}
export interface Refused {
  code: string;
  message: string;
  hint: string;
}

/** Forms in which a file may be given. */
export const FORMS = ["bytes", "buffer", "Blob", "File"] as const;

/** Loads a chat, from an address or in one of FORMS, over one that has said something, and asks on. */
export const goOn = (
  host: Host,
  source: { url: string } | { base64: string; form: (typeof FORMS)[number] },
): Promise<GoneOn | Refused> =>
  host.evaluate(async (source) => {
    const { engine } = globalThis as unknown as Held;
    const conversation = "loaded";
    const ask = async (messages: Winnow.ChatMessage[], max_tokens: number) =>
      engine.chat.completions.create({ messages, max_tokens, temperature: 0 }, { conversation });
    await ask([{ role: "user", content: "Hello." }], 2);
    const before = JSON.stringify(engine.cache.usage({ conversation }));
    let given: Winnow.SavedChat;
    if ("url" in source) given = source.url;
    else {
      const bytes = Uint8Array.from(atob(source.base64), (letter) => letter.charCodeAt(0));
      if (source.form === "bytes") given = bytes;
      else if (source.form === "buffer") given = bytes.buffer;
      else if (source.form === "Blob") given = new Blob([bytes]);
      else given = new File([bytes], "chat.winnow");
    }
    try {
      const { messages, usage } = await engine.cache.load(given, { conversation });
      const next = await ask([...messages, { role: "user", content: "And then?" }], 8);
      return {
        usage,
        messages,
        text: next.choices[0].message.content,
        cached: next.usage.prompt_tokens_details.cached_tokens,
      };
    } catch (error) {
      if (JSON.stringify(engine.cache.usage({ conversation })) !== before)
        throw new Error("the chat that was there has changed");
      const { code, message, hint } = error as Winnow.WinnowError;
      return { code, message, hint };
    }
  }, source);

/** Loads a chat three times while its conversation answers, the second time with a signal that fires at once. */
export const loadWhileAnswering = (host: Host, base64: string) =>
  host.evaluate(async (base64) => {
    const { engine } = globalThis as unknown as Held;
    const conversation = "busy";
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const messages = [{ role: "user" as const, content: "Hello." }];
    const request = { messages, max_tokens: 20, temperature: 0 };
    const answering = engine.chat.completions.create(request, { conversation });
    const abort = new AbortController();
    const loading = [undefined, abort.signal, undefined].map((signal) =>
      engine.cache.load(bytes, { conversation, ...(signal && { signal }) }).then(
        () => "loaded",
        (error: Winnow.WinnowError) => error.code,
      ),
    );
    abort.abort();
    const { usage } = await answering;
    const states = await Promise.all(loading);
    const found = engine.cache.usage({ conversation });
    return { answered: usage.completion_tokens, states, found };
  }, base64);

/** Throws unless the chat went on from what was kept; where answers are compared, by their first `letters`. */
export function checkGoneOn(found: GoneOn | Refused, { usage, messages }: Kept): GoneOn {
  expect(found).not.toHaveProperty("code");
  const gone = found as GoneOn;
  expect(gone.usage).toEqual(usage);
  expect(gone.messages.slice(0, 1)).toEqual(messages);
  // All that was seen, but for half a character that the answer may end with.
  expect(gone.cached).toBeGreaterThan(usage.tokensSeen - 4);
  return gone;
}

/** How servers may answer where a chat lies. `elsewhere`: from another origin than the page's. */
export interface Address {
  name: string;
  elsewhere?: boolean;
  answer: (file: Uint8Array) => Parameters<Site["answers"]["set"]>[1];
  /** Where it is refused: by what error. */
  refused?: { code: string; message: RegExp; hint: RegExp };
}

const whole =
  (headers: Record<string, string>, change = (file: Uint8Array) => file): Address["answer"] =>
  (file) =>
  (_request, response) =>
    void response.writeHead(200, headers).end(change(file));

export const ADDRESSES: Address[] = [
  {
    name: "in ranges",
    answer: (file) => (request, response) => void sendRanges(file, request, response),
  },
  { name: "whole", answer: whole({}) },
  { name: "as a web page by its type alone", answer: whole({ "content-type": "text/html" }) },
  {
    name: "compressed, to who takes that",
    answer: (file) => (request, response) => {
      const gzip = /gzip/.test(request.headers["accept-encoding"] ?? "");
      response.writeHead(200, gzip ? { "content-encoding": "gzip" } : {});
      response.end(gzip ? gzipSync(file) : file);
    },
  },
  {
    name: "in ranges from another origin, which shows no sizes",
    elsewhere: true,
    answer: (file) => (request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      sendRanges(file, request, response);
    },
  },
  {
    name: "from another origin without CORS",
    elsewhere: true,
    answer: whole({}),
    refused: { code: "network", message: /chat.winnow/, hint: /Access-Control-Allow-Origin/ },
  },
  {
    name: "not at all",
    answer: () => (_request, response) => void response.writeHead(404).end(),
    refused: {
      code: "bad_cache_file",
      message: /chat.winnow: the server answered 404/,
      hint: /Check the address/,
    },
  },
  {
    name: "with an error",
    answer: () => (_request, response) => void response.writeHead(500).end(),
    refused: { code: "network", message: /answered 500/, hint: /Try again/ },
  },
  {
    name: "as the app's own page",
    answer: () => (_request, response) =>
      void response
        .writeHead(200, { "content-type": "text/html" })
        .end("<!doctype html><title>app</title>"),
    refused: { code: "bad_cache_file", message: /is a web page/, hint: /Check the address/ },
  },
  {
    name: "cut short",
    answer: whole({}, (file) => file.subarray(0, file.length / 2)),
    refused: { code: "bad_cache_file", message: /chat.winnow/, hint: /cut short/ },
  },
];
