import type { HubFile } from "../addresses.ts";
import { delay } from "../delay.ts";
import { type HttpOptions, networkError, readBody, request } from "../http.ts";

/** What the hub says of one file at one commit of its repository. */
export interface HubStatement {
  readonly commit: string;
  readonly bytes?: number;
  /** Lower-case hex; only files that the hub keeps as LFS objects have one, as model weights do. */
  readonly sha256?: string;
}

/** undefined where the hub cannot be asked, or answers something else. */
export type AskHub = (file: HubFile, signal?: AbortSignal) => Promise<HubStatement | undefined>;

/** A slow answer must not hold a download up. */
const PATIENCE_MS = 10_000;

/**
 * Asks the hub's API for the commit that a revision is, and the sizes and SHA-256 of its files: one plain GET for
 * all files of a repository, which costs a page no CORS preflight. (The headers of `resolve` have the same, but on
 * its redirect, which a page cannot read.)
 */
export function hubStatements(options: HttpOptions = {}): AskHub {
  const asked = new Map<string, Promise<unknown>>();
  return async ({ repo, file, revision = "main" }, signal) => {
    const path = repo.split("/").map(encodeURIComponent).join("/");
    const url = `https://huggingface.co/api/models/${path}/revision/${encodeURIComponent(revision)}?blobs=true`;
    const answer = asked.get(url) ?? answerWithin(PATIENCE_MS, url, options, signal);
    asked.set(url, answer);
    return statementOf(await answer, file);
  };
}

async function answerWithin(
  ms: number,
  url: string,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<unknown> {
  const finished = new AbortController();
  const stop = signal ? AbortSignal.any([signal, finished.signal]) : finished.signal;
  try {
    return await Promise.race([
      fetchJson(url, options, stop),
      delay(ms, stop).then(() => undefined),
    ]);
  } catch {
    return undefined;
  } finally {
    finished.abort();
  }
}

/** A small JSON answer. Throws as `request`, and `network` for what is not JSON. */
async function fetchJson(
  url: string,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<unknown> {
  const bytes = await readBody(url, await request(url, {}, options, signal), options, signal);
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw networkError(url, "the answer is not JSON", { cause });
  }
}

interface RepositoryInfo {
  sha?: unknown;
  siblings?: { rfilename?: unknown; size?: unknown; lfs?: { sha256?: unknown } | null }[];
}

function statementOf(answer: unknown, file: string): HubStatement | undefined {
  const { sha, siblings } = (answer ?? {}) as RepositoryInfo;
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha)) return undefined;
  const one = Array.isArray(siblings) ? siblings.find((s) => s?.rfilename === file) : undefined;
  if (one === undefined) return undefined;
  const sha256 = one.lfs?.sha256;
  return {
    commit: sha,
    ...(Number.isSafeInteger(one.size) ? { bytes: one.size as number } : {}),
    ...(typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) ? { sha256 } : {}),
  };
}
