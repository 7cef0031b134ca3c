// npm test: everything, in two rows of stages side by side. `npm test -- unit kernels` runs only those stages,
// `npm test -- kernels kv-move` of a stage the files whose path has the word, `npm test -- unit -t "name"` tests by name.
// Ends with the line "N passed, N failed"; exit 1 on any failure, zero tests or no adapter.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadTypeScript } from "../demo/load-typescript.mjs";
import { prepareBrowser, prepareFirefox } from "./prepare-browser.mjs";

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
 * Files that failed beside the other row, by stage. Two cores with a software GPU in each row are slow at times: such
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
  embed: () => vitest("embed"),
  firefox,
};
/** Vitest's projects of a stage, where they are not one of its name. @type {Record<string, readonly string[]>} */
const PROJECTS = { firefox: ["firefox", "firefox-kernels"] };
/**
 * Rows of stages, side by side: each by itself leaves a core idle, since a software adapter compiles a kernel in one
 * thread and tests of kernels wait for one at a time.
 */
const ROWS = [
  ["build", "size", "kernels", "e2e", "embed"],
  ["check", "unit", "model", "firefox"],
];
/** Stages that test what build makes. */
const NEED_BUILD = ["size", "e2e", "embed", "firefox"];
/** Stages that need the model's file, a Vulkan driver or a browser. */
const NEED_MACHINE = ["kernels", "model", "e2e", "embed", "firefox"];

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

/** Without a Firefox nothing of the stage can be said: a failure where CI relies on it. @returns {Promise<Counts>} */
async function firefox() {
  if (process.env.FIREFOX_PATH) return vitest("firefox");
  const counted = process.env.CI ? "FAILED" : "SKIPPED";
  const line = `firefox: ${counted}, no Firefox found or installable: install one, or set FIREFOX_PATH to its binary`;
  console.log(line);
  if (!process.env.CI) skipped.push(line);
  else failures.push(line);
  return { passed: 0, failed: process.env.CI ? 1 : 0 };
}

/**
 * Runs the projects of a stage, or only `files` of them. Files that fail beside another row are left to `again`.
 * @param {string} stage @param {readonly string[]} [files] @returns {Promise<Counts>}
 */
async function vitest(stage, files) {
  const file = join(output, `${stage}${files ? "-again" : ""}.json`);
  rmSync(file, { force: true });
  const projects = (PROJECTS[stage] ?? [stage]).flatMap((name) => ["--project", name]);
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  const named = testName === undefined ? [] : ["-t", testName];
  const words = files ?? wanted.get(stage) ?? [];
  const status = await run(bin("vitest"), ["run", ...projects, ...report, ...named, ...words]);
  const results = readReport(file);
  const red = results.filter(({ problems }) => problems.length > 0);
  const counted = beside ? results.filter(({ problems }) => problems.length === 0) : results;
  if (beside && red.length > 0) again.set(stage, red);
  const problems = counted.flatMap((result) => result.problems);
  const passed = counted.reduce((sum, result) => sum + result.passed, 0);
  // A crash or a suite without tests is a failure too.
  if (red.length === 0 && (status !== 0 || passed === 0))
    problems.push(`${stage}: vitest ended with ${status}, ${passed} tests passed`);
  failures.push(...problems);
  const later = beside && red.length > 0 ? `, ${red.length} files to run again` : "";
  console.log(`${stage}: ${passed} passed, ${problems.length} failed${later}`);
  return { passed, failed: problems.length };
}

/** A test that was skipped did not pass, unless its name was not asked for; nor did a file that does not load. @param {string} file @returns {FileResult[]} */
function readReport(file) {
  if (!existsSync(file)) return [];
  /** @type {VitestReport} */
  const report = JSON.parse(readFileSync(file, "utf8"));
  return report.testResults.map(({ name, status, message, assertionResults }) => {
    const path = relative(root, name);
    const asked = assertionResults.filter(
      ({ status }) => testName === undefined || status === "passed" || status === "failed",
    );
    const red = asked.filter((test) => test.status !== "passed");
    const problems = red.map(({ fullName, failureMessages = [] }) =>
      [`${path} > ${fullName}`, ...failureMessages].join("\n"),
    );
    if (status === "failed" && assertionResults.length === 0) problems.push(`${path}: ${message}`);
    return { path, passed: asked.length - red.length, problems };
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

async function prepareSecondBrowser() {
  const path = await prepareFirefox(run);
  if (path) process.env.FIREFOX_PATH = path;
  console.log(`second browser: ${path ?? "none"}`);
}

/** Stages, each with the words that files must have in their paths; none: all. */
function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { testNamePattern: { type: "string", short: "t" }, help: { type: "boolean" } },
  });
  if (values.help) {
    console.log(
      `usage: npm test -- [STAGE [WORD...]]... [-t NAME]\nstages: ${Object.keys(stages).join(", ")}`,
    );
    process.exit(0);
  }
  /** @type {Map<string, string[]>} */
  const wanted = new Map();
  let stage = "";
  for (const word of positionals) {
    if (Object.hasOwn(stages, word)) {
      stage = word;
      wanted.set(stage, []);
    } else if (stage) wanted.get(stage)?.push(word);
    else {
      console.error(`unknown stage ${word}; there are ${Object.keys(stages).join(", ")}`);
      process.exit(1);
    }
  }
  return { wanted, testName: values.testNamePattern };
}

/** What was not run, said once more at the end. @type {string[]} */
const skipped = [];
const { wanted, testName } = readArguments();
const chosen = ROWS.map((row) =>
  row.filter((name) => wanted.size === 0 || wanted.has(name)),
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

/** Resolves when build is over, where it is asked for. */
let built = () => {};
const building = new Promise((resolve) => {
  built = () => resolve(undefined);
});

/** @param {string[]} row */
async function runRow(row) {
  for (const name of row) {
    if (NEED_BUILD.includes(name) && chosen.flat().includes("build")) await building;
    await count(name, () => stages[name]?.());
    if (name === "build") built();
  }
}

async function runAgain() {
  beside = false;
  for (const [stage, files] of again) {
    for (const problem of files.flatMap(({ problems }) => problems))
      console.log(`\nfailed beside other tests: ${problem}`);
    const paths = files.map(({ path }) => path);
    await count(`${stage}, again`, () => vitest(stage, paths));
  }
}

try {
  if (chosen.flat().some((name) => NEED_MACHINE.includes(name))) await prepareMachine();
  if (chosen.flat().includes("firefox")) await prepareSecondBrowser();
  await Promise.all(chosen.map(runRow));
  await runAgain();
} catch (error) {
  failures.push(error instanceof Error ? error.message : String(error));
  total.failed += 1;
}
for (const line of skipped) console.log(`\n${line}`);
for (const failure of failures) console.log(`\nFAILED ${failure}`);
console.log(`\n${seconds()} s`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
