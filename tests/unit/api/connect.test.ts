import { afterEach, describe, expect, it, vi } from "vitest";
import { WHOLE_PACKAGE } from "../../../src/api/page/whole-package.ts";
import { GREETING } from "../../../src/api/page/worker-greeting.ts";
import { WinnowError } from "../../../src/errors.ts";
import { createEngine } from "../../../src/index.ts";

afterEach(() => vi.unstubAllGlobals());

const model = "smollm2-135m-instruct";
const failure = (options = {}): Promise<unknown> =>
  createEngine({ model, ...options }).then(
    () => "an engine",
    (error: unknown) => error,
  );

/** A worker whose script answers to a greeting, or does not load. */
class FakeWorker extends EventTarget {
  greeted: unknown[] = [];
  terminated = false;
  postMessage(message: unknown, ports: MessagePort[]): void {
    this.greeted.push(message, ports.length);
    queueMicrotask(() => this.dispatchEvent(new Event("error")));
    for (const port of ports) port.close();
  }
  terminate(): void {
    this.terminated = true;
  }
}

describe("where there is no Worker", () => {
  it("says which entry is for Node", async () => {
    expect(await failure()).toMatchObject({
      name: "WinnowError",
      code: "no_webgpu",
      hint: expect.stringContaining("winnow-llm/node"),
    });
  });

  it("the whole package, where a service worker has imported it, is what answers", async () => {
    const createEngine = vi.fn(async () => {
      throw new WinnowError("no_adapter", "in place");
    });
    Reflect.set(globalThis, WHOLE_PACKAGE, { createEngine });
    try {
      expect(await failure()).toMatchObject({ code: "no_adapter", message: "in place" });
    } finally {
      Reflect.deleteProperty(globalThis, WHOLE_PACKAGE);
    }
  });

  it("a service worker, which cannot import later, is told what to import first", async () => {
    vi.stubGlobal("navigator", { gpu: {} });
    vi.stubGlobal("ServiceWorkerGlobalScope", class {});
    expect(await failure()).toMatchObject({
      code: "no_worker",
      hint: expect.stringContaining('import "winnow-llm/service-worker"'),
    });
  });
});

describe("where a worker may not be made", () => {
  it.each([
    [
      "Trusted Types",
      new TypeError("This document requires 'TrustedScriptURL' assignment."),
      "trusted-types winnow",
    ],
    [
      "another origin or a sandbox",
      new DOMException("cannot be accessed from origin 'null'", "SecurityError"),
      "allow-same-origin",
    ],
  ])("%s: says what to set", async (_name, thrown, hint) => {
    vi.stubGlobal("Worker", function Worker() {
      throw thrown;
    });
    expect(await failure()).toMatchObject({
      name: "WinnowError",
      code: "no_worker",
      hint: expect.stringContaining(hint),
      cause: thrown,
    });
  });

  it("a script that does not load is named, with what to check", async () => {
    vi.stubGlobal("Worker", FakeWorker);
    expect(await failure()).toMatchObject({
      code: "no_worker",
      message: expect.stringContaining("did not load"),
      hint: expect.stringContaining("worker-src"),
    });
  });
});

describe("createEngine({ worker })", () => {
  it("greets a given worker with a port, and leaves it to its owner", async () => {
    const worker = new FakeWorker();
    expect(await failure({ worker })).toMatchObject({
      code: "no_worker",
      hint: expect.stringContaining("winnow-llm/worker"),
    });
    expect(worker.greeted).toEqual([GREETING, 1]);
    expect(worker.terminated).toBe(false);
  });

  it("calls a function for one, and ends what it made", async () => {
    const worker = new FakeWorker();
    expect(await failure({ worker: () => worker })).toMatchObject({ code: "no_worker" });
    expect(worker.terminated).toBe(true);
  });

  it("a function that throws or gives no worker is an error of this package", async () => {
    const thrown = new DOMException("blocked", "SecurityError");
    const throws = (): never => {
      throw thrown;
    };
    expect(await failure({ worker: throws })).toMatchObject({ code: "no_worker", cause: thrown });
    expect(await failure({ worker: () => undefined })).toMatchObject({ code: "no_worker" });
  });

  it.each([[7], ["worker.js"], [{}]])("%j is no worker", async (worker) => {
    expect(await failure({ worker })).toMatchObject({ code: "invalid_argument" });
  });

  it("does not go with a tokenizer", async () => {
    const tokenizer = { encode: () => [], decode: () => "" };
    const worker = new FakeWorker();
    expect(await failure({ worker, tokenizer })).toMatchObject({ code: "invalid_argument" });
  });
});
