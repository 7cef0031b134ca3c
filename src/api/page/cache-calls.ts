import { withChange } from "../../cache/cache-options.ts";
import { WinnowError } from "../../errors.ts";
import { checkString } from "../checks/check.ts";
import {
  checkConversationOptions,
  checkSavedChat,
  checkSavedChatOptions,
  readCacheOptions,
} from "../checks/validate-cache.ts";
import { checkRequestOptions } from "../checks/validate-request.ts";
import type { Engine } from "../types.ts";
import type { CompletionPort } from "./begin-request.ts";
import { checkedRequest } from "./chat-completions.ts";
import type { Calls } from "./connection.ts";
import type { KnownFigures } from "./known-figures.ts";

/** `engine.cache`: each call is checked here, answered by the worker, and its figures are kept. */
export const cacheCalls = (
  calls: Calls,
  known: KnownFigures,
  port: CompletionPort,
): Engine["cache"] => ({
  usage(options) {
    const { conversation = known.lastUsed } = checkConversationOptions(options);
    return known.usageOf(conversation);
  },

  async configure(cache, options) {
    const { conversation = known.lastUsed } = checkConversationOptions(options);
    const current = known.settingsOf(conversation);
    const checked = readCacheOptions(cache, current);
    known.take(await calls.call((port) => port.configure(conversation, checked)));
    // Another change may have been made meanwhile.
    known.setSettings(conversation, withChange(known.settingsOf(conversation), checked));
    return known.usageOf(conversation);
  },

  async read(request, options) {
    const asked = checkRequestOptions(options);
    const checked = await port.turn(asked, checkedRequest(request));
    await port.complete({ ...checked, ahead: true }, asked, () => {});
    return known.usageOf(asked.conversation);
  },

  async retention(options) {
    const { conversation = known.lastUsed } = checkConversationOptions(options);
    return calls.call((port) => port.retention(conversation));
  },

  async reset(options) {
    const { conversation = known.lastUsed } = checkConversationOptions(options);
    known.keep(await calls.call((port) => port.reset(conversation)));
  },

  async fork(from, to) {
    checkString("from", from);
    checkString("to", to);
    if (from === to)
      throw new WinnowError("invalid_argument", `to: must differ from from ("${from}")`);
    known.keep(await calls.call((port) => port.fork(from, to)));
    known.setSettings(to, known.settingsOf(from));
  },

  async save(options) {
    const { conversation = known.lastUsed, signal } = checkSavedChatOptions(options);
    const { file, figures } = await calls.abortable("saving", signal, (port, call) =>
      port.saveChat(call, conversation),
    );
    known.keep(figures);
    return file;
  },

  async load(source, options) {
    const { conversation = known.lastUsed, signal } = checkSavedChatOptions(options);
    const checked = checkSavedChat(source);
    const { messages, asked, ...loaded } = await calls.abortable("loading", signal, (port, call) =>
      port.loadChat(call, conversation, checked),
    );
    known.setSettings(conversation, asked);
    known.take(loaded);
    return { messages, usage: { ...loaded.figures.usage } };
  },
});
