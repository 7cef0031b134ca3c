import { run, safely } from "./run.js";

globalThis.location = { href: Deno.args[0] };
console.log(JSON.stringify(await safely(run())));
Deno.exit(0);
