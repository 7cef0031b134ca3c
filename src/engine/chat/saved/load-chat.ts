import type { CacheOptions } from "../../../cache/cache-options.ts";
import { checkPages, clearUnused } from "../../../cache/check-pages.ts";
import { writePages, writeRemainders } from "../../../cache/saved-pages.ts";
import { KvSequence } from "../../../cache/sequence/kv-sequence.ts";
import type { ByteSource } from "../../../formats/byte-source.ts";
import type { ChatMessage } from "../../../text/types.ts";
import type { EngineCore } from "../../core.ts";
import { ChatFile } from "./chat-file.ts";
import { type ModelIdentity, pageTensors, smallTensors } from "./chat-record.ts";
import {
  checkBooks,
  checkCounts,
  checkMessages,
  checkModel,
  checkNumbers,
  checkRemainders,
  checkTokens,
} from "./check-chat.ts";

/** A chat that is in the cache again. */
export interface RestoredChat {
  readonly sequence: KvSequence;
  readonly tokens: number[];
  /** f32 [E], as words. */
  readonly lastRow: Uint32Array | undefined;
  readonly asked: CacheOptions;
  readonly messages: ChatMessage[] | undefined;
}

/**
 * Reads what `saveChat` wrote into a new sequence, a layer at a time. Throws bad_cache_file where the file is damaged or
 * of another model, shape, storage, calibration or version; out_of_memory, aborted, and what the source throws. Nothing
 * stays allocated then.
 */
export async function loadChat(
  core: EngineCore,
  source: ByteSource,
  model: ModelIdentity,
  signal?: AbortSignal,
): Promise<RestoredChat> {
  const { state } = core;
  const { pool } = state;
  const { shape } = pool;
  const file = await ChatFile.open(source, signal);
  checkModel(core, file, model);
  const messages = checkMessages(file);
  const { books: known, asked } = await checkBooks(core, file);
  const small = smallTensors(shape, core.config.hidden, known.seen);
  const books = checkCounts(core, file, known, await file.words(small.counts, signal));
  const pages = pageTensors(shape, books.counts);
  const optional = [small.lastRow, small.remainders].filter(({ name }) => file.has(name));
  const kept = pool.states ? [small.states] : [];
  file.checkAll([small.tokens, small.counts, ...optional, ...kept, ...pages]);
  const tokens = checkTokens(core, file, await file.words(small.tokens, signal));
  const read = (tensor: (typeof optional)[number]) =>
    optional.includes(tensor) ? file.words(tensor, signal) : undefined;
  const lastRow = await read(small.lastRow);
  if (lastRow) checkNumbers(file, small.lastRow.name, lastRow);
  const remainders = await read(small.remainders);
  if (remainders) checkRemainders(file, remainders, small.remainders.shape[2], books.seen);
  const states = pool.states && (await file.words(small.states, signal));
  if (states) checkNumbers(file, small.states.name, states);
  checkState();
  const sequence = KvSequence.restore(pool, books);
  try {
    if (states) sequence.states?.write(states);
    if (remainders) writeRemainders(pool, sequence, remainders);
    for (const [layer, tensor] of pages.entries()) {
      const words = await file.words(tensor, signal);
      checkPages(shape, books, layer, words, (place, problem) =>
        file.fail(tensor.name, `${place}: ${problem}`),
      );
      clearUnused(shape, books.counts[layer]!, words);
      checkState();
      writePages(pool, sequence, layer, words);
    }
    // What a lost device is given is gone without a word; asked for a word, it tells, while the file is there to begin anew.
    await pool.gpu.read(pool.tables, 0, 4);
    checkState();
    return { sequence, tokens, lastRow, asked, messages };
  } catch (error) {
    if (core.state === state) sequence.free();
    throw error;
  }

  /** What was checked and written must be of the device that goes on with it. */
  function checkState(): void {
    if (core.state !== state) throw new Error("the device was replaced while a chat was loaded");
  }
}
