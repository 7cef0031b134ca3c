import { type Architecture, PLAIN } from "./family.ts";
import { longRope } from "./long-rope.ts";
import { readWindow } from "./sliding.ts";

/** Phi 3, 3.5 and 4 of Microsoft, the dense models: Llama's block, with RoPE over a part of a head, and LongRoPE. */
export const phi3: Architecture = {
  ...PLAIN,
  name: "phi3",
  readRope: longRope,
  readOwn: (gguf, { windows, contextLength }) => {
    const window = readWindow(gguf, "phi3");
    // Every layer has it; files name one that no chat reaches too.
    return { windows: windows.map(() => (window < contextLength ? window : 0)) };
  },
};
