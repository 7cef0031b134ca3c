import { expose } from "comlink";
import { describe, expect, it } from "vitest";
import { carryErrors } from "../../../src/api/carry-errors.ts";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import { connectLocal } from "../../../src/api/page/connect-local.ts";
import { connectWorker } from "../../../src/api/page/connect-worker.ts";
import type { Connection } from "../../../src/api/page/connection.ts";
import type { Engine } from "../../../src/api/types.ts";
import { EngineService } from "../../../src/api/worker/service.ts";
import { WinnowError } from "../../../src/errors.ts";
import { FakeEngine, serviceOver } from "./api-fake-engine.ts";

const messages = [{ role: "user" as const, content: "hi" }];
const options = checkEngineOptions({ model: "fake" });

/** A port to a service, as to a worker's: everything is cloned on its way. */
function connectTo(service: EngineService): Connection {
  const worker = {
    addEventListener: () => {},
    postMessage: (_greeting: unknown, [port]: [MessagePort]) => {
      carryErrors();
      expose(service, port);
    },
  };
  return connectWorker(worker as unknown as Worker, "", () => {});
}

const openBehindPort = (fake: FakeEngine): Promise<Engine> =>
  EngineClient.open(connectTo(serviceOver(fake)), options, {});

const openHere = (fake: FakeEngine): Promise<Engine> =>
  EngineClient.open(connectLocal(serviceOver(fake)), options, {});

/** What a worker's or an app's own copy of the class makes. */
class WinnowErrorOfAnotherCopy extends Error {
  override readonly name = "WinnowError";
  readonly code = "out_of_memory";
  readonly hint = "lower it";
  readonly details = { pages: 3 };
  readonly toWire = WinnowError.prototype.toWire;
}

describe.each([
  ["behind a port", openBehindPort],
  ["in this thread", openHere],
])("what an engine %s throws", (_place, open) => {
  const thrownFor = async (failure: unknown): Promise<unknown> => {
    const fake = new FakeEngine();
    const engine = await open(fake);
    fake.failure = failure as Error;
    const thrown = await engine.chat.completions.create({ messages }).catch((error) => error);
    await engine.close();
    return thrown;
  };

  it.each([
    [
      "a WinnowError",
      new WinnowError("out_of_memory", "no page", { hint: "lower it", details: { pages: 3 } }),
      { code: "out_of_memory", message: "no page", hint: "lower it", details: { pages: 3 } },
    ],
    [
      "one of another copy of the class",
      new WinnowErrorOfAnotherCopy("no page"),
      { code: "out_of_memory", message: "no page", hint: "lower it", details: { pages: 3 } },
    ],
    ["an AbortError", new DOMException("stop", "AbortError"), { code: "aborted" }],
    ["another DOMException", new DOMException("full", "QuotaExceededError"), { message: "full" }],
    ["a plain Error", new TypeError("no such thing"), { message: "no such thing" }],
    ["a text", "no error at all", { message: "no error at all" }],
    ["an object", { toString: (): string => "odd" }, { message: "odd" }],
  ])("%s arrives as a WinnowError", async (_name, failure, expected) => {
    const thrown = await thrownFor(failure);
    expect(thrown).toBeInstanceOf(WinnowError);
    expect(thrown).toMatchObject({ code: "internal", ...expected });
  });

  it("comes from every call, and the engine goes on", async () => {
    const fake = new FakeEngine();
    const engine = await open(fake);
    const unknown = { code: "invalid_argument", message: "from: no nobody" };
    const thrown = await engine.cache.fork("nobody", "b").catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(WinnowError);
    expect(thrown).toMatchObject(unknown);
    expect(await engine.cache.configure({ budget: 64 })).toMatchObject({ budget: 64 });
    const reply = await engine.chat.completions.create({ messages });
    expect(reply.choices[0].message.content).toBe("hello");
    await engine.close();
  });
});

it("what a callback of the page throws reaches the worker whole", async () => {
  const failure = new WinnowError("network", "gone", {
    hint: "try again",
    details: { status: 503 },
  });
  let seen: unknown;
  const service = new EngineService(async (_options, _onProgress, _signal, ownFilters) => {
    await ownFilters?.("fake").catch((error: unknown) => {
      seen = error;
    });
    throw new Error("enough");
  });
  const ownFilters = (): Promise<never> => Promise.reject(failure);
  const opening = EngineClient.open(connectTo(service), options, { ownFilters });
  await expect(opening).rejects.toMatchObject({ code: "internal", message: "enough" });
  expect(seen).toBeInstanceOf(WinnowError);
  expect(seen).toMatchObject({ code: "network", hint: "try again", details: { status: 503 } });
});
