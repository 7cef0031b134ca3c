import type { Block } from "../blocks.ts";
import { bad } from "../config-fields.ts";

/**
 * The last `shared` layers have no keys and values: they attend to those of the last layer of their kind, global or with a
 * window, that has some. `windows`: of every layer, 0 where it is global. Throws bad_model_file.
 */
export function gemma4Blocks(
  windows: readonly number[],
  shared: number,
): { blocks: readonly Block[]; lender: number | undefined } {
  const own = windows.length - shared;
  const isLocal = windows.map((window) => window > 0);
  const indices = windows.map((_, layer) =>
    layer < own ? layer : isLocal.slice(0, own).lastIndexOf(isLocal[layer]!),
  );
  if (indices.includes(-1))
    throw bad("gemma4.attention.shared_kv_layers", `${shared} leave no layer of some kind`);
  const blocks = indices.map((index, layer): Block => {
    const borrows = layer >= own;
    const lends = indices.includes(index, layer + 1);
    return { kind: "attention", index, ...(borrows && { borrows }), ...(lends && { lends }) };
  });
  // Behind the last layer that has keys and values none writes any, so that one's scratch stays as it is.
  const lender = blocks.find(({ lends, index }) => lends && index < own - 1)?.index;
  return { blocks, lender };
}
