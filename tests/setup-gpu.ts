import { globals } from "webgpu";
import { easeWaits } from "../src/node/dawn-waits.ts";

// Once a worker, which runs many files: tests that make a GPU object of their own wait as cheaply as the Node
// host does.
if (!Reflect.has(globalThis, "GPUQueue")) {
  Object.assign(globalThis, globals);
  easeWaits(GPUQueue, GPUBuffer);
}
