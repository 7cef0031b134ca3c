import { run, safely } from "./run.js";

globalThis.result = safely(run());
