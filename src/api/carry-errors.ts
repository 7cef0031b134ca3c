import { type TransferHandler, transferHandlers } from "comlink";
import { asWinnowError, WinnowError, type WireError } from "../errors.ts";

/**
 * Makes Comlink carry what is thrown as a whole `WinnowError`: by itself it keeps the message, not the code. Both sides
 * call this before they connect, since callbacks throw as well.
 */
export function carryErrors(): void {
  const { canHandle } = transferHandlers.get("throw") as TransferHandler<unknown, unknown>;
  const handler: TransferHandler<{ readonly value: unknown }, WireError> = {
    // Comlink's own: it knows what was thrown by a mark that it does not export.
    canHandle: canHandle as typeof handler.canHandle,
    serialize: ({ value }) => [asWinnowError(value).toWire(), []],
    deserialize: (wire) => {
      throw WinnowError.fromWire(wire);
    },
  };
  transferHandlers.set("throw", handler);
}
