import type { CacheOptions } from "../../api/types.ts";
import type { WireError } from "../../errors.ts";

/** What crosses between the command line and its page; bytes as base64. */
export interface PageJob {
  command: string;
  input: unknown;
  cache: CacheOptions;
  /** Undefined where the command makes its model. */
  modelUrl: string | undefined;
  name: string;
  sha256: string;
  filters?: string;
}

export type PageOutcome =
  | {
      ok: true;
      result: { json: Record<string, unknown>; text: string; files: Record<string, string> };
    }
  | { ok: false; error: WireError };

declare global {
  function winnowRun(job: PageJob): Promise<PageOutcome>;
  function winnowAbort(): void;
  function winnowAppend(path: string, text: string): Promise<void>;
  function winnowReport(label: string, done: number, total: number): Promise<void>;
}
