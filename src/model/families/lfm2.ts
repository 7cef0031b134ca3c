import { type Architecture, PLAIN } from "./family.ts";

/** LFM2 and LFM2.5 of Liquid AI (arXiv 2511.23404), the dense models: most layers are gated short convolutions. */
export const lfm2: Architecture = {
  ...PLAIN,
  name: "lfm2",
  qkNorm: true,
  stateLayers: "short-conv",
  finalNorm: "token_embd_norm",
  caution:
    "LFM2 keeps keys in few of its layers and normalises them (QK-norm): the budget saves memory on those layers alone, and policies differ little.",
};
