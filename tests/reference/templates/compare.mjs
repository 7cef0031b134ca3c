// node tests/reference/templates/compare.mjs --help: holds our chat templates to transformers', on templates that are at hand.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { loadTypeScript } from "../../../demo/load-typescript.mjs";

const [folder = "--help", python = "python"] = process.argv.slice(2);
const { Template } = await loadTypeScript("src/text/jinja.ts");
if (folder === "--help") {
  console.log(`usage: node tests/reference/templates/compare.mjs FOLDER [PYTHON]

FOLDER has templates: NAME.jinja, or tokenizer_config.json under any NAME.json. PYTHON has transformers and jinja2.
Prints a line a template, and in how many conversations ours is another text; exit code 1 if there is one.`);
  process.exit(0);
}
// Its clock stands where render.py's does.
const now = new Date(2025, 8, 3, 7, 5, 9);
const Fixed = class extends Date {
  constructor() {
    super(now);
  }
};
Object.assign(globalThis, { Date: Fixed });

/** @param {any} template @param {object} variables */
function rendered(template, variables) {
  try {
    return { text: template.render(variables) };
  } catch (error) {
    return { error: String(error) };
  }
}

const script = spawn(python, [join(import.meta.dirname, "render.py"), folder], {
  stdio: ["ignore", "pipe", "inherit"],
});
let differences = 0;
for await (const line of createInterface({ input: script.stdout })) {
  const { name, template: source, chats } = JSON.parse(line);
  let template;
  try {
    template = new Template(source);
  } catch (error) {
    const all = chats.every((/** @type {any} */ chat) => chat.error);
    if (!all) differences += 1;
    console.log(`${name}: ${all ? "no template in Python either" : String(error)}`);
    continue;
  }
  const unlike = chats.filter((/** @type {any} */ chat) => {
    const { text, error } = rendered(template, chat.variables);
    chat.ours = text ?? error;
    return chat.error === undefined ? text !== chat.text : error === undefined;
  });
  const failed = chats.filter((/** @type {any} */ chat) => chat.error).length;
  differences += unlike.length;
  console.log(
    `${name}: ${chats.length} conversations, ${failed} refused in Python, ${unlike.length} differ`,
  );
  for (const { said, text, error, ours } of unlike.slice(0, 3))
    console.log(
      `  ${said}\n    Python ${JSON.stringify(text ?? error)}\n    ours   ${JSON.stringify(ours)}`,
    );
}
process.exit(differences === 0 ? 0 : 1);
