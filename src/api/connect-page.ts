import type { Connection } from "./client.ts";
import { connectLocal } from "./connect-local.ts";
import { openInBrowser } from "./open-in-browser.ts";
import type { ExternalTokenizer } from "./types.ts";

export const connectPage = (tokenizer: ExternalTokenizer): Connection =>
  connectLocal(openInBrowser(globalThis.navigator?.gpu, tokenizer));
