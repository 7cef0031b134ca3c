import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { WinnowError } from "../errors.ts";
import { fetchHubFile } from "../fetch/hub/hub-file.ts";
import type { ModelEntry } from "../fetch/resolve/model-registry.ts";
import { diskStore } from "./cache-folder.ts";

/** The caller's filters: bytes, a path or a URL. */
export async function readGivenFilters(
  given: string | Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  return typeof given === "string" ? readNamed(given) : given;
}

/** The filters that come with a registered model; undefined where it has none. */
export async function readOwnFilters(
  entry: ModelEntry | undefined,
): Promise<Uint8Array | undefined> {
  const { filters } = entry ?? {};
  if (filters === undefined) return undefined;
  if (typeof filters !== "string") {
    // Where they cannot be had, k-norm steps in and says so.
    const options = { store: diskStore(), model: entry!.name };
    return fetchHubFile(filters, options).catch(() => undefined);
  }
  const own = packageFile(join("public", filters));
  return own ? readBytes(own) : undefined;
}

async function readNamed(address: string): Promise<Uint8Array> {
  try {
    if (!/^https?:/i.test(address)) {
      return await readBytes(address.startsWith("file:") ? fileURLToPath(address) : address);
    }
    const response = await fetch(address);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new WinnowError(
      "bad_filters",
      `filters: ${address} could not be read: ${(cause as Error).message}`,
      {
        hint: "Check the path, or leave filters out.",
        cause,
      },
    );
  }
}

/** A copy: a Buffer of Node may be a window on a shared pool. */
const readBytes = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path));

/** A file of this package, whether this code runs from src/node/ or from dist/. */
export function packageFile(path: string): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let up = 0; up < 4; up++) {
    const candidate = join(folder, path);
    if (existsSync(join(folder, "package.json")))
      return existsSync(candidate) ? candidate : undefined;
    folder = dirname(folder);
  }
  return undefined;
}
