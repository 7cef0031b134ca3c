/**
 * Eight clients ask the server of `winnow serve` over the tiny f32 model: whole and streamed answers, some of them left in the
 * middle or while they wait, malformed and endless bodies, readers that do not read. Checks that every answer that was waited for
 * is what the model answers alone, and that no GPU byte, socket or open file is left. Prints one JSON object; exit code 1
 * where one of these does not hold.
 */
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { checkEngineOptions } from "../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../src/api/page/client.ts";
import { connectLocal } from "../../src/api/page/connect-local.ts";
import { EngineService } from "../../src/api/worker/service.ts";
import { ModelServer } from "../../src/cli/serve/server.ts";
import { seededRandom } from "../../src/random.ts";
import { checkCache, loadTinyEngine } from "../model/tiny-engine.ts";

const CACHE = { budget: 64, policy: "k-norm" } as const;
const CLIENTS = 8;
const BODY_LIMIT = 100_000;
const PARALLEL = 4;

/** What clients do, and how often beside the others. */
const DEEDS = {
  whole: 5,
  stream: 5,
  "leave in the middle": 4,
  "leave at once": 2,
  "wrong field": 1,
  "no JSON": 1,
  "half a body": 1,
  "too long": 1,
  "wrong number": 1,
  "never read": 1,
} as const;
type Deed = keyof typeof DEEDS;

export interface SoakReport {
  requests: number;
  deeds: Record<string, number>;
  /** Answers that were waited for, and those among them that are not what the model answers alone. */
  answers: number;
  wrongAnswers: number;
  /** Requests that were answered otherwise than they should be. */
  surprises: string[];
  /** Requests that were told to come again, and did. */
  cameAgain: number;
  /** GPU bytes and heap bytes after the first and the second half, with all conversations forgotten. */
  gpuBytes: number[];
  heapBytes: number[];
  /** Open files, sockets among them, before and after. */
  openFiles: number[];
  connections: number;
  faults: string[];
  seconds: number;
}

/** Does `requests` of them, in two halves. */
export async function soakServer(requests: number, seed = 1): Promise<SoakReport> {
  const inner = await loadTinyEngine(CACHE);
  const engine = await EngineClient.open(
    connectLocal(
      new EngineService(async () => ({
        engine: inner,
        sha256: "",
        keepCalibration: async () => false,
        openFile: () => Promise.reject(new Error("no file is opened")),
        close: () => inner.close(),
      })),
    ),
    checkEngineOptions({ model: "tiny", cache: CACHE }),
    { calibrate: "off" },
  );
  const faults: string[] = [];
  const server = await ModelServer.open(engine, {
    host: "127.0.0.1",
    port: 0,
    origins: [],
    parallel: PARALLEL,
    conversations: 2 * PARALLEL,
    waiting: 3,
    bodyLimit: BODY_LIMIT,
    timeoutMs: 600_000,
    stallMs: 2000,
    report: (line) => void faults.push(line),
  });
  const soak = new Soak(server.url, seed);
  const began = performance.now();
  await soak.learn();
  const openFiles = [countFiles()];
  const [gpuBytes, heapBytes]: [number[], number[]] = [[], []];
  for (const half of [requests >> 1, requests - (requests >> 1)]) {
    let left = half;
    const client = async (): Promise<void> => {
      while (left-- > 0) await soak.one();
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    while ((await server.connections()) > 0) await sleep(50);
    for (let seat = 1; seat <= 2 * PARALLEL; seat += 1)
      await engine.cache.reset({ conversation: `seat ${seat}` });
    checkCache(inner);
    gpuBytes.push(engine.memory().total);
    globalThis.gc?.();
    heapBytes.push(process.memoryUsage().heapUsed);
  }
  openFiles.push(countFiles());
  const connections = await server.connections();
  await server.stop(0);
  await engine.close();
  const seconds = (performance.now() - began) / 1000;
  return { ...soak.report, gpuBytes, heapBytes, openFiles, connections, faults, seconds };
}

const countFiles = (): number => readdirSync("/proc/self/fd").length;

/** The clients' side. */
class Soak {
  readonly report = {
    requests: 0,
    deeds: {} as Record<string, number>,
    answers: 0,
    wrongAnswers: 0,
    surprises: [] as string[],
    cameAgain: 0,
  };
  private readonly url: string;
  private readonly random: () => number;
  /** What the model answers to each question when nobody else asks. */
  private readonly right = new Map<string, string>();

  constructor(url: string, seed: number) {
    this.url = `${url}/v1/chat/completions`;
    this.random = seededRandom(seed);
  }

  /** Asks every question once, alone. */
  async learn(): Promise<void> {
    for (let i = 0; i < 12; i += 1) {
      const question = "abcdefghij klmnop".repeat(1 + (i % 4) * 3).slice(i);
      this.right.set(question, await this.whole(bodyOf(question)));
    }
  }

  async one(): Promise<void> {
    const deed = this.pick();
    this.report.requests += 1;
    this.report.deeds[deed] = (this.report.deeds[deed] ?? 0) + 1;
    try {
      await this.act(deed);
    } catch (error) {
      const { cause } = error as Error;
      this.report.surprises.push(`${deed}: ${String(error)} ${cause ? String(cause) : ""}`);
    }
  }

  private pick(): Deed {
    const all = Object.entries(DEEDS).flatMap(([deed, times]) => Array(times).fill(deed));
    return all[Math.floor(this.random() * all.length)];
  }

  private async act(deed: Deed): Promise<void> {
    const questions = [...this.right.keys()];
    const question = questions[Math.floor(this.random() * questions.length)]!;
    const body = bodyOf(question);
    if (deed === "whole") return this.check(question, await this.whole(body));
    if (deed === "stream") return this.check(question, await this.stream(body));
    if (deed === "leave in the middle") return this.leave({ ...body, max_tokens: 500 }, true);
    if (deed === "leave at once") return this.leave({ ...body, max_tokens: 500 }, false);
    if (deed === "wrong field") return this.refused({ ...body, temperature: "hot" }, 400);
    if (deed === "no JSON") return this.refused('{"messages": [', 400);
    if (deed === "too long") return this.refused(bodyOf("x".repeat(2 * BODY_LIMIT)), 413);
    if (deed === "wrong number") return this.refused({ ...body, max_tokens: -1 }, 400);
    // Both end by the server's hand or their own, with no answer to check.
    return this.raw(deed, { ...body, max_tokens: 2000, stream: true });
  }

  private check(question: string, answer: string): void {
    this.report.answers += 1;
    if (answer !== this.right.get(question)) this.report.wrongAnswers += 1;
  }

  /** Asks until it is not told to come again. */
  private async post(body: unknown, signal?: AbortSignal): Promise<Response> {
    for (;;) {
      const response = await fetch(this.url, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...(signal && { signal }),
      });
      if (response.status !== 429) return response;
      this.report.cameAgain += 1;
      await response.text();
      await sleep(20);
    }
  }

  private async whole(body: object): Promise<string> {
    const answer = await (await this.post(body)).json();
    return answer.choices[0].message.content;
  }

  private async stream(body: object): Promise<string> {
    const text = await (await this.post({ ...body, stream: true })).text();
    const data = text
      .split("\n\n")
      .flatMap((event) => (event.startsWith("data: ") ? [event.slice(6)] : []));
    if (data.pop() !== "[DONE]") throw new Error("the stream has no end");
    return data.map((one) => JSON.parse(one).choices[0]?.delta.content ?? "").join("");
  }

  private async leave(body: object, midway: boolean): Promise<void> {
    const control = new AbortController();
    try {
      const asked = this.post({ ...body, stream: true }, control.signal);
      // It may fail while nobody waits for it.
      asked.catch(() => {});
      if (!midway) await sleep(this.random() * 30).then(() => control.abort());
      const reader = (await asked).body!.getReader();
      for (let reads = this.random() * 6; reads > 0; reads -= 1) await reader.read();
    } catch (error) {
      if (!control.signal.aborted) throw error;
    } finally {
      control.abort();
    }
  }

  private async refused(body: unknown, status: number): Promise<void> {
    const response = await this.post(body);
    const { error } = await response.json();
    if (response.status !== status || typeof error.message !== "string")
      throw new Error(`status ${response.status}`);
  }

  private async raw(deed: Deed, body: object): Promise<void> {
    const { hostname, port } = new URL(this.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    socket.pause();
    const text = JSON.stringify(body);
    const sent = deed === "half a body" ? text.slice(0, text.length >> 1) : text;
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${text.length}\r\n\r\n${sent}`,
    );
    // Meanwhile the others go on; most of these outlast their client.
    await sleep(50 + this.random() * 300);
    socket.destroy();
  }
}

const bodyOf = (content: string) => ({
  messages: [{ role: "user", content }],
  temperature: 0,
  max_tokens: 12,
});

/** Whether all that is promised holds. */
export const holds = (report: SoakReport): boolean =>
  report.wrongAnswers === 0 &&
  report.surprises.length === 0 &&
  report.faults.length === 0 &&
  report.connections === 0 &&
  report.gpuBytes[0] === report.gpuBytes[1] &&
  report.openFiles[1]! <= report.openFiles[0]!;

/** `args`: the number of requests, and a seed; returns the exit code. */
export async function main([count = "500", seed = "1"]: readonly string[]): Promise<number> {
  if (count === "--help") {
    console.log("usage: node tests/bench/serve-soak.mjs [REQUESTS] [SEED]");
    return 0;
  }
  const report = await soakServer(Number(count), Number(seed));
  console.log(JSON.stringify(report, undefined, 1));
  return holds(report) ? 0 : 1;
}
