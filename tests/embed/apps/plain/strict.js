import { run, safely } from "./by-path.js";

globalThis.result = safely(run());
