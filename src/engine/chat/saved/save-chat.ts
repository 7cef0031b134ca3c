import { readPages, readRemainders } from "../../../cache/saved-pages.ts";
import { throwIfAborted } from "../../../errors.ts";
import { writeHeader } from "../../../formats/checkpoint/write-safetensors.ts";
import type { EngineCore } from "../../core.ts";
import type { Place } from "../place.ts";
import {
  bytesOf,
  type ChatRecord,
  metadataOf,
  pageTensors,
  recordOf,
  smallTensors,
  type TensorShape,
} from "./chat-record.ts";

/**
 * What a chat has read, as one safetensors file: `tokens` U32 [T], `counts` U32 [L, G], `last_row` F32 [E] and
 * `remainders` F32 [L, G, 2 + 2 D] where there are any, `states` F32 of layers that keep one, and of each layer `pages.L` U32 [pages, words], the pages in use
 * as they are stored, kv head by kv head. `place` must stay as it is: a fork. One layer at a time is held in memory.
 */
export async function saveChat(
  core: EngineCore,
  place: Place,
  about: Pick<ChatRecord, "model" | "asked" | "messages">,
  signal?: AbortSignal,
): Promise<Blob> {
  const { pool } = core.state;
  const sequence = place.live;
  const { books } = sequence;
  const small = smallTensors(pool.shape, core.config.hidden, books.seen);
  const pages = pageTensors(pool.shape, books.counts);
  const parts: [TensorShape, Uint32Array<ArrayBuffer>][] = [
    [small.tokens, Uint32Array.from(place.seen)],
    [small.counts, Uint32Array.from(books.counts.flat())],
  ];
  const row = await place.readRow();
  if (row) parts.push([small.lastRow, row]);
  const remainders = await readRemainders(pool, sequence);
  if (remainders.some((word) => word !== 0)) parts.push([small.remainders, remainders]);
  const states = await sequence.states?.read();
  if (states) parts.push([small.states, states]);
  const header = writeHeader(
    metadataOf(await recordOf(core, books, about)),
    [...parts.map(([tensor]) => tensor), ...pages].map((tensor) => [
      tensor.name,
      { dtype: tensor.dtype, shape: tensor.shape, bytes: bytesOf(tensor) },
    ]),
  );
  const blobs: BlobPart[] = [header, ...parts.map(([, words]) => words)];
  for (const layer of pages.keys()) {
    throwIfAborted(signal);
    // A Blob, which the browser may keep elsewhere than in memory.
    blobs.push(new Blob([await readPages(pool, sequence, layer)]));
  }
  throwIfAborted(signal);
  return new Blob(blobs);
}
