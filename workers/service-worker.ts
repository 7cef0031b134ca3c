import { connectLocal } from "../src/api/page/connect-local.ts";
import { openEngine } from "../src/api/page/open-engine.ts";
import { WHOLE_PACKAGE, type WholePackage } from "../src/api/page/whole-package.ts";
import { listHere, removeHere } from "../src/api/stored-models.ts";
import { whereIs } from "../src/api/where-is.ts";
import { engineHere } from "./engine.worker.ts";

// All of the package in one file, for a scope that can only have imported code beforehand.
const whole: WholePackage = {
  createEngine: (options) =>
    openEngine(options, async ({ tokenizer }) => ({
      connection: connectLocal(engineHere(tokenizer)),
      notices: [],
    })),
  listModels: listHere,
  removeModel: removeHere,
  whereIs,
};
Reflect.set(globalThis, WHOLE_PACKAGE, whole);
