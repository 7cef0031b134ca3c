import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export interface Running {
  child: ChildProcess;
  url: string;
  model: string;
  /** Resolves with how the program ended. */
  ended: Promise<{ status: number | null; stderr: string }>;
}

/** `winnow serve` on a free port, once it answers. */
export async function serve(model: string, ...args: string[]): Promise<Running> {
  const line = ["serve", "--model", model, "--port", "0", "--json", ...args];
  const child = spawn(process.execPath, [cli, ...line], { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data) => {
    stderr += String(data);
  });
  const ended = new Promise<{ status: number | null; stderr: string }>((resolve) =>
    child.on("close", (status) => resolve({ status, stderr })),
  );
  const ready = new Promise<string>((resolve) =>
    createInterface(child.stdout).once("line", resolve),
  );
  const first = await Promise.race([
    ready,
    ended.then(({ status, stderr }) => {
      throw new Error(`winnow serve ended with ${status}: ${stderr}`);
    }),
  ]);
  return { child, ended, ...JSON.parse(first) };
}
