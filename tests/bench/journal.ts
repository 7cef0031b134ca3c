import { appendFileSync, existsSync, readFileSync } from "node:fs";

/** Results by name, a line each in a file: a run that was broken off goes on. Without a path they are kept for one run. */
export class Journal<Result> {
  readonly results = new Map<string, Result>();
  private readonly path: string | undefined;

  constructor(path?: string) {
    this.path = path;
    if (path === undefined || !existsSync(path)) return;
    for (const line of readFileSync(path, "utf8").trim().split("\n")) {
      const [name, result] = JSON.parse(line) as [string, Result];
      this.results.set(name, result);
    }
  }

  /** The result of that name; `work` gives it where it is not there yet. */
  async of(name: string, work: () => Promise<Result>): Promise<Result> {
    const known = this.results.get(name);
    if (known !== undefined) return known;
    const result = await work();
    this.results.set(name, result);
    if (this.path !== undefined) appendFileSync(this.path, `${JSON.stringify([name, result])}\n`);
    return result;
  }
}
