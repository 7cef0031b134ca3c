#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";

// Dawn keeps the process alive: end it when the output is out.
process.exit(await runCommandLine(process.argv.slice(2)));
