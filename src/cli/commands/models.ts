import type { StoredModel } from "../../api/types.ts";
import { invalidArgument } from "../../errors.ts";
import type { PlainCommand } from "../command.ts";
import { list } from "../flags.ts";

export const models: PlainCommand = {
  name: "models",
  summary: "models that are stored on this disk; --remove removes them",
  usage: "[--remove NAME|URL...]",
  flags: { remove: "string" },
  listFlag: "remove",
  async answer(flags, files) {
    const removed: string[] = [];
    for (const source of flags.remove === undefined ? [] : list(flags, "remove")) {
      if (!(await files.removeModel(source)))
        throw invalidArgument(
          "--remove",
          `${source} is not stored`,
          "`winnow models` lists what is.",
        );
      removed.push(source);
    }
    const stored = await files.listModels();
    return {
      json: { models: stored, ...(removed.length === 0 ? {} : { removed }) },
      text: [
        ...removed.map((source) => `removed ${source}`),
        ...(stored.length === 0 ? ["no models are stored"] : stored.map(line)),
      ].join("\n"),
    };
  },
};

function line({ source, bytes, verified, complete, lastUsed }: StoredModel): string {
  const size = `${(bytes / 1e6).toFixed(1)} MB`.padStart(11);
  const state = !complete ? "incomplete" : verified ? "verified" : "unchecked";
  const used = lastUsed?.toISOString().slice(0, 16).replace("T", " ") ?? "";
  return `${size}  ${state.padEnd(10)}  ${used.padEnd(16)}  ${source}`;
}
