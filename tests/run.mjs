// npm test: everything, in two rows of stages side by side; `npm test -- unit kernels` runs only those stages.
// Ends with the line "N passed, N failed"; exit 1 on any failure, zero tests or no adapter.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { loadTypeScript } from "../demo/load-typescript.mjs";
import { prepareBrowser } from "./prepare-browser.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const output = join(root, "tests/output");
const bin = (/** @type {string} */ name) => join(root, "node_modules/.bin", name);

/** @typedef {{ passed: number, failed: number }} Counts */
/** @typedef {{ status: string, fullName: string, failureMessages?: string[] }} TestResult */
/** @typedef {{ name: string, status: string, message: string, assertionResults: TestResult[] }} FileResult */
/** @typedef {{ numPassedTests: number, testResults: FileResult[] }} VitestReport */

/** What failed, said once more at the end: a long output is read from there. @type {string[]} */
const failures = [];

/** @type {Record<string, () => Promise<Counts>>} */
const stages = {
  check: () => step("check", "npm", ["run", "--silent", "check"]),
  build: () => step("build", "npm", ["run", "--silent", "build"]),
  size: () => step("size", "npm", ["run", "--silent", "size"]),
  unit: () => vitest("unit"),
  kernels: () => vitest("kernels"),
  model: () => vitest("model"),
  e2e: () => vitest("e2e"),
};
/**
 * Rows of stages, side by side: each by itself leaves a core idle, since a software adapter compiles a kernel in one
 * thread and tests of kernels wait for one at a time. e2e needs what build makes.
 */
const ROWS = [
  ["build", "size", "kernels", "e2e"],
  ["check", "unit", "model"],
];
/** Stages that need the model's file, a Vulkan driver or a browser. */
const NEED_MACHINE = ["kernels", "model", "e2e"];

/**
 * What a command prints comes as it is printed, or, beside another row, in one piece at its end.
 * @param {string} command @param {string[]} args @returns {Promise<number>}
 */
function run(command, args) {
  return new Promise((resolve) => {
    const output = beside ? "pipe" : "inherit";
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", output, output] });
    /** @type {Buffer[]} */
    const printed = [];
    child.stdout?.on("data", (data) => printed.push(data));
    child.stderr?.on("data", (data) => printed.push(data));
    const end = (/** @type {number} */ status) => {
      process.stdout.write(Buffer.concat(printed));
      resolve(status);
    };
    child.on("error", (error) => {
      console.error(error.message);
      end(1);
    });
    child.on("close", (status) => end(status ?? 1));
  });
}

/** A stage that counts as one test. @param {string} name @param {string} command @param {string[]} args */
async function step(name, command, args) {
  const status = await run(command, args);
  if (status !== 0) failures.push(`${name}: exit ${status}`);
  console.log(status === 0 ? `${name}: ok` : `${name}: FAILED (exit ${status})`);
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1 };
}

/** @param {string} project @returns {Promise<Counts>} */
async function vitest(project) {
  const file = join(output, `${project}.json`);
  rmSync(file, { force: true });
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const status = await run(bin("vitest"), ["run", "--project", project, ...report]);
  const counts = readReport(file);
  // A crash, a file that does not load or a suite without tests is a failure too.
  if (counts.failed === 0 && (status !== 0 || counts.passed === 0)) {
    counts.failed = 1;
    failures.push(`${project}: vitest ended with ${status}, ${counts.passed} tests passed`);
  }
  console.log(`${project}: ${counts.passed} passed, ${counts.failed} failed`);
  return counts;
}

/** A test that was skipped did not pass: it counts as failed. @param {string} file @returns {Counts} */
function readReport(file) {
  if (!existsSync(file)) return { passed: 0, failed: 0 };
  /** @type {VitestReport} */
  const report = JSON.parse(readFileSync(file, "utf8"));
  const before = failures.length;
  for (const { name, status, message, assertionResults } of report.testResults) {
    const where = relative(root, name);
    if (status === "failed" && assertionResults.length === 0) failures.push(`${where}: ${message}`);
    for (const test of assertionResults)
      if (test.status !== "passed")
        failures.push([`${where} > ${test.fullName}`, ...(test.failureMessages ?? [])].join("\n"));
  }
  return { passed: report.numPassedTests, failed: failures.length - before };
}

/** Finds or gets what the suites need, and tells them through the environment. */
async function prepareMachine() {
  const browser = await prepareBrowser(run);
  process.env.CHROMIUM_PATH = browser;
  console.log(`browser: ${browser}`);
  const { prepareModel } = await loadTypeScript("demo/prepare-model.ts");
  process.env.WINNOW_MODEL ??= await prepareModel(join(root, ".cache/models"));
  console.log(`model: ${process.env.WINNOW_MODEL}`);
  const { prepareVulkan } = await loadTypeScript("tests/prepare-vulkan.ts");
  console.log(`adapter: ${prepareVulkan(browser)}`);
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in stages));
if (unknown.length > 0) {
  console.error(`unknown stage ${unknown.join(", ")}; there are ${Object.keys(stages).join(", ")}`);
  process.exit(1);
}
const chosen = ROWS.map((row) =>
  row.filter((name) => wanted.length === 0 || wanted.includes(name)),
).filter((row) => row.length > 0);
const beside = chosen.length > 1;
mkdirSync(output, { recursive: true });
const total = { passed: 0, failed: 0 };
const started = Date.now();
const seconds = () => Math.round((Date.now() - started) / 1000);

/** @param {string[]} row */
async function runRow(row) {
  for (const name of row) {
    console.log(`\n== ${name} begins (${seconds()} s)`);
    const counts = await stages[name]?.();
    total.passed += counts?.passed ?? 0;
    total.failed += counts?.failed ?? 0;
    console.log(`== ${name} ends (${seconds()} s)`);
  }
}

try {
  if (chosen.flat().some((name) => NEED_MACHINE.includes(name))) await prepareMachine();
  await Promise.all(chosen.map(runRow));
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
  total.failed += 1;
}
for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\n${seconds()} s`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
