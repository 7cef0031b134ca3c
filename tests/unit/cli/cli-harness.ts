import { vi } from "vitest";
import { runCommandLine } from "../../../src/cli/command-line.ts";

export interface CliRun {
  status: number;
  stdout: string;
  stderr: string;
}

/** `winnow ARGS` in this process, with what it wrote. */
export async function winnow(...args: string[]): Promise<CliRun> {
  const run: CliRun = { status: 0, stdout: "", stderr: "" };
  const capture =
    (key: "stdout" | "stderr") =>
    (chunk: unknown, done?: unknown): boolean => {
      run[key] += String(chunk);
      if (typeof done === "function") done();
      return true;
    };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(capture("stdout")),
    vi.spyOn(process.stderr, "write").mockImplementation(capture("stderr")),
  ];
  try {
    run.status = await runCommandLine(args);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return run;
}
