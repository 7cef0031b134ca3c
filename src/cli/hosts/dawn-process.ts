import { spawn } from "node:child_process";
import { constants } from "node:os";
import { Writable } from "node:stream";
import { mayHaveVulkanDriver, swiftShaderEnvironment } from "../../node/vulkan.ts";
import { ASKED } from "./stop-signals.ts";

/**
 * On Linux, a command that needs Dawn runs in a process of its own. GPU drivers and Dawn write lines of their own to
 * its stderr, about folders and features that the machine lacks: they are kept back, and shown where that process did
 * not end by itself. What the command says comes over a channel and is written here.
 */

/** Set in that process to words: "retry" where another driver is left to try, "terminal" where stderr is one. */
const MARK = "WINNOW_DAWN";
/** The exit status that asks for the other driver. */
const OTHER_DRIVER = 86;
/** Bytes of what drivers wrote that are kept: the last ones say why a process died. */
const KEPT = 4096;

const marks = (): string[] => process.env[MARK]?.split(" ") ?? [];

/** Whether this process is the one to start another for Dawn. */
export const startsDawn = (): boolean => process.platform === "linux" && !process.env[MARK];

/** In the process for Dawn, where no adapter was found: ends it, if there is another driver to begin anew with. */
export function tryOtherDriver(): void {
  if (marks().includes("retry")) process.exit(OTHER_DRIVER);
}

/** In the process for Dawn: sends what is written to `process.stderr` to the one that started it, and ends with that. */
export function sendStderr(): void {
  if (!process.env[MARK] || !process.send) return;
  const stderr = new Writable({
    decodeStrings: false,
    write: (chunk, _encoding, done) => void process.send!(String(chunk), done),
  });
  const isTTY = marks().includes("terminal");
  Object.defineProperty(process, "stderr", { value: Object.assign(stderr, { isTTY }) });
  process.on("disconnect", () => process.exit(1));
}

interface DawnOptions {
  /** With all that drivers write. */
  readonly verbose: boolean;
}

/** Runs `winnow ARGS` in a process for Dawn and returns its exit status. */
export async function runWithDawn(args: readonly string[], options: DawnOptions): Promise<number> {
  const swiftShader = swiftShaderEnvironment();
  if (mayHaveVulkanDriver() || !swiftShader) {
    const status = await runOnce(args, options, swiftShader ? ["retry"] : ["last"]);
    if (status !== OTHER_DRIVER || !swiftShader) return status;
  }
  console.error(
    `winnow: no Vulkan driver here that Dawn can use; using SwiftShader (${swiftShader.VK_ICD_FILENAMES})`,
  );
  return runOnce(args, options, ["last"], swiftShader);
}

function runOnce(
  args: readonly string[],
  { verbose }: DawnOptions,
  words: readonly string[],
  driver: object = {},
): Promise<number> {
  const mark = [...words, ...(process.stderr.isTTY ? ["terminal"] : [])].join(" ");
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    env: { ...process.env, ...driver, [MARK]: mark },
    stdio: ["inherit", "inherit", verbose ? "inherit" : "pipe", "ipc"],
  });
  let said = "";
  child.stderr?.on("data", (bytes) => {
    said = (said + bytes).slice(-KEPT);
  });
  child.on("message", (text) => process.stderr.write(String(text)));
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  // Ctrl-C reaches both processes, and who stops one may tell this one alone: the one with the command decides what that does.
  for (const name of ASKED) process.on(name, pass);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      for (const name of ASKED) process.off(name, pass);
      if (status !== null && status <= 1) return resolve(status);
      if (status !== OTHER_DRIVER) process.stderr.write(said);
      if (signal && !ASKED.includes(signal))
        console.error(
          `winnow: ended by ${signal}, most often a fault of the GPU driver or a lack of memory`,
        );
      resolve(status ?? 128 + constants.signals[signal!]);
    });
  });
}
