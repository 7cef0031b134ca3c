#!/usr/bin/env node
import { runCommandLine } from "./command-line.ts";
import { sendStderr } from "./hosts/dawn-process.ts";

sendStderr();
const status = await runCommandLine(process.argv.slice(2));
await new Promise((resolve) => process.stderr.write("", resolve));
// Dawn keeps the process alive: end it when the output is out.
process.exit(status);
