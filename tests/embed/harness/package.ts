import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MODELS } from "../../../src/fetch/resolve/model-registry.ts";
import { SMOLLM2_SHAPE } from "../../reference/tiny-model/smollm2-shape.ts";
import { tinyGguf } from "../../reference/tiny-model/tiny-model.ts";
import { OUTPUT, ROOT } from "./paths.ts";

/** The package in a folder as npm unpacks it, and a model's file that it takes for the default one. */
export interface Packed {
  folder: string;
  tarball: string;
  model: string;
}

/** The default model's file is SmolLM2 itself. */
export function packWithDefault(): Packed {
  const model = process.env.WINNOW_MODEL;
  if (!model) throw new Error("WINNOW_MODEL must name the default model's file");
  const packed = pack("default");
  return { ...packed, model };
}

/**
 * A random model with the default's layers and heads, small in all else, in whose place the unpacked code is told to
 * have the default: everything is the same but the minutes of computing.
 */
export function packWithTiny(): Packed {
  const packed = pack("tiny");
  const bytes = tinyGguf("default", { ...SMOLLM2_SHAPE, hidden: 64, mlp: 64 });
  const model = join(OUTPUT, "tiny.gguf");
  writeFileSync(model, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const entry = MODELS.find(({ name }) => name === "smollm2-135m-instruct")!;
  const stand = (text: string): string =>
    text
      .replaceAll(entry.sha256!, sha256)
      .replaceAll(new RegExp(`\\b${entry.bytes}\\b`, "g"), `${bytes.length}`);
  // Filters name the model they belong to, by its hash, within their bytes.
  const filters = /(?<=;base64,)[\w+/=]{1000,}/g;
  const inFilters = (base64: string): string =>
    Buffer.from(stand(Buffer.from(base64, "base64").toString("latin1")), "latin1").toString(
      "base64",
    );
  const changed = { entry: 0, filters: 0 };
  for (const name of readdirSync(join(packed.folder, "dist"))) {
    if (!name.endsWith(".js")) continue;
    const path = join(packed.folder, "dist", name);
    const code = readFileSync(path, "utf8");
    if (code.includes(entry.sha256!)) changed.entry += 1;
    else if (code.includes(";base64,")) changed.filters += 1;
    else continue;
    writeFileSync(path, stand(code).replaceAll(filters, inFilters));
  }
  const file = join(packed.folder, "public", entry.filters as string);
  writeFileSync(file, stand(readFileSync(file, "latin1")), "latin1");
  if (!changed.entry || !changed.filters)
    throw new Error("the default model's entry or its filters were not found in the package");
  return { ...packed, model };
}

function pack(name: string): Omit<Packed, "model"> {
  const folder = join(OUTPUT, `package-${name}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const out = execFileSync(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", OUTPUT],
    { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const [{ filename }] = JSON.parse(out) as [{ filename: string }];
  const tarball = join(OUTPUT, `${name}.tgz`);
  cpSync(join(OUTPUT, filename), tarball);
  execFileSync("tar", ["-xzf", tarball, "-C", folder, "--strip-components=1"]);
  return { folder, tarball };
}
