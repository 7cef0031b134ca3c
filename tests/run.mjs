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
/** @typedef {{ path: string, passed: number, problems: string[] }} FileResult */
/** @typedef {{ status: string, fullName: string, failureMessages?: string[] }} VitestTest */
/** @typedef {{ name: string, status: string, message: string, assertionResults: VitestTest[] }} VitestFile */
/** @typedef {{ testResults: VitestFile[] }} VitestReport */

/** What failed, said once more at the end: a long output is read from there. @type {string[]} */
const failures = [];
/**
 * Files that failed beside the other row, by project. Two cores with a software GPU in each row are slow at times: such
 * a file is run once more by itself, and that counts. What it said the first time is printed all the same.
 * @type {Map<string, FileResult[]>}
 */
const again = new Map();

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

/**
 * Runs a project, or only `files` of it. Files that fail beside another row are left to `again`.
 * @param {string} project @param {readonly string[]} [files] @returns {Promise<Counts>}
 */
async function vitest(project, files = []) {
  const file = join(output, `${project}${files.length > 0 ? "-again" : ""}.json`);
  rmSync(file, { force: true });
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const status = await run(bin("vitest"), ["run", "--project", project, ...report, ...files]);
  const results = readReport(file);
  const red = results.filter(({ problems }) => problems.length > 0);
  const counted = beside ? results.filter(({ problems }) => problems.length === 0) : results;
  if (beside && red.length > 0) again.set(project, red);
  const problems = counted.flatMap((result) => result.problems);
  const passed = counted.reduce((sum, result) => sum + result.passed, 0);
  // A crash or a suite without tests is a failure too.
  if (red.length === 0 && (status !== 0 || passed === 0))
    problems.push(`${project}: vitest ended with ${status}, ${passed} tests passed`);
  failures.push(...problems);
  const later = beside && red.length > 0 ? `, ${red.length} files to run again` : "";
  console.log(`${project}: ${passed} passed, ${problems.length} failed${later}`);
  return { passed, failed: problems.length };
}

/** A test that was skipped did not pass, nor did a file that does not load. @param {string} file @returns {FileResult[]} */
function readReport(file) {
  if (!existsSync(file)) return [];
  /** @type {VitestReport} */
  const report = JSON.parse(readFileSync(file, "utf8"));
  return report.testResults.map(({ name, status, message, assertionResults }) => {
    const path = relative(root, name);
    const red = assertionResults.filter((test) => test.status !== "passed");
    const problems = red.map(({ fullName, failureMessages = [] }) =>
      [`${path} > ${fullName}`, ...failureMessages].join("\n"),
    );
    if (status === "failed" && assertionResults.length === 0) problems.push(`${path}: ${message}`);
    return { path, passed: assertionResults.length - red.length, problems };
  });
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
let beside = chosen.length > 1;
mkdirSync(output, { recursive: true });
const total = { passed: 0, failed: 0 };
const started = Date.now();
const seconds = () => Math.round((Date.now() - started) / 1000);

/** @param {string} name @param {() => Promise<Counts> | undefined} stage */
async function count(name, stage) {
  console.log(`\n== ${name} begins (${seconds()} s)`);
  const counts = await stage();
  total.passed += counts?.passed ?? 0;
  total.failed += counts?.failed ?? 0;
  console.log(`== ${name} ends (${seconds()} s)`);
}

/** @param {string[]} row */
async function runRow(row) {
  for (const name of row) await count(name, () => stages[name]?.());
}

async function runAgain() {
  beside = false;
  for (const [project, files] of again) {
    for (const problem of files.flatMap(({ problems }) => problems))
      console.log(`\nfailed beside other tests: ${problem}`);
    const paths = files.map(({ path }) => path);
    await count(`${project}, again`, () => vitest(project, paths));
  }
}

try {
  if (chosen.flat().some((name) => NEED_MACHINE.includes(name))) await prepareMachine();
  await Promise.all(chosen.map(runRow));
  await runAgain();
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
  total.failed += 1;
}
for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\n${seconds()} s`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
