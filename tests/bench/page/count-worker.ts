// The first import of Winnow's worker under the bench: it counts calls of WebGPU before any is made.
import { answerCounts } from "./count-webgpu.ts";

answerCounts();
