import { shortConv } from "../states/short-conv.ts";
import { type Architecture, PLAIN } from "./family.ts";

/** LFM2 and LFM2.5 of Liquid AI (arXiv 2511.23404), the dense models: most layers are gated short convolutions. */
export const lfm2: Architecture = {
  ...PLAIN,
  name: "lfm2",
  qkNorm: true,
  stateLayers: shortConv,
  finalNorm: "token_embd_norm",
  caution:
    "LFM2 normalises its keys (QK-norm), and few of its layers have any: policies differ little.",
};
