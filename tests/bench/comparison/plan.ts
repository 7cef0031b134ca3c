import type { BenchOptions, Budget, EngineName } from "./options.ts";

/** One chat of the bench: a prompt of `length` tokens, an answer, and, where it decodes, a second turn. */
export interface Task {
  engine: EngineName;
  length: number;
  budget: Budget;
  /** Whether the prompt's prefill counts. */
  prefill: boolean;
  /** Whether decoding counts, and a second turn is run. */
  decode: boolean;
  /** The history is made up, but for a short prompt: there is no prefill and no second turn. */
  filled?: boolean;
  tokens: number;
}

export interface NotRun {
  engine: EngineName;
  length: number;
  budget: Budget;
  reason: string;
}

export interface Plan {
  /** In the order of a repeat: engines in turns, so that what else the machine does hits all alike. */
  tasks: Task[];
  notRun: NotRun[];
  /** Of all repeats, on a software adapter with two cores. */
  minutes: number;
}

/** Tokens per second on a software adapter with two cores, for the estimate alone. */
const SPEEDS: Record<EngineName, { prefill: number; decode: number; loadS: number }> = {
  winnow: { prefill: 50, decode: 4, loadS: 12 },
  "transformers.js": { prefill: 6.5, decode: 0.22, loadS: 15 },
  wllama: { prefill: 20, decode: 11, loadS: 6 },
};
/** Tokens that a second turn adds. */
const SECOND_TURN = 20;
/** Positions of the model: the longest history is shortened so that two answers fit. */
const POSITIONS = 8192;

/** Tokens of the prompt for a history of `length`. */
export const promptLength = (length: number, tokens: number): number =>
  Math.min(length, POSITIONS - 4 * tokens - 4 * SECOND_TURN);

export function makePlan(options: BenchOptions): Plan {
  const { engines, prefill, histories, budgets, repeats, tokens, upTo, filled } = options;
  const lengths = [...new Set([...prefill, ...histories])].sort((a, b) => a - b);
  const tasks: Task[] = [];
  const notRun: NotRun[] = [];
  for (const length of lengths) {
    for (const engine of engines) {
      for (const budget of budgetsOf(engine, length, budgets)) {
        const parts = { prefill: prefill.includes(length), decode: histories.includes(length) };
        const task = { engine, length, budget, ...parts, tokens: tokens[engine] };
        if (length <= upTo[engine]) tasks.push(task);
        else if (engine === "transformers.js" && filled && task.decode)
          tasks.push({ ...task, prefill: false, filled: true });
        else {
          const reason = `longer than the limit of ${upTo[engine]}; about ${minutes(seconds(task))} min a repeat`;
          notRun.push({ engine, length, budget, reason });
        }
      }
    }
  }
  const chats = tasks.reduce((sum, task) => sum + seconds(task), 0);
  // One load to fill the browser's storage, then one a repeat.
  const loads = engines.reduce((sum, engine) => sum + SPEEDS[engine].loadS, 0);
  return { tasks, notRun, minutes: minutes(repeats * chats + (repeats + 1) * loads) };
}

/** A budget that the prompt does not reach changes nothing. */
function budgetsOf(engine: EngineName, length: number, budgets: readonly Budget[]): Budget[] {
  if (engine !== "winnow") return ["full"];
  const reached = budgets.filter((budget) => budget === "full" || budget <= length);
  return reached.length > 0 ? reached : ["full"];
}

function seconds({ engine, length, tokens, decode, filled }: Task): number {
  const speed = SPEEDS[engine];
  if (filled) return (8 * tokens) / speed.decode;
  const second = decode ? (2 * tokens) / speed.decode + SECOND_TURN / speed.prefill : 0;
  return length / speed.prefill + second;
}

const minutes = (s: number): number => Math.round(s / 6) / 10;

/** What will be done, for the terminal. */
export function describePlan({ tasks, notRun, minutes: all }: Plan, repeats: number): string {
  const name = ({ engine, length, budget }: Omit<NotRun, "reason">): string =>
    `${engine} ${length} tokens${engine === "winnow" ? `, budget ${budget}` : ""}`;
  return [
    `${repeats} repeats of ${tasks.length} chats, about ${all} minutes on a software adapter with two cores:`,
    ...tasks.map((task) => {
      const what = task.filled
        ? ["decode on made-up keys and values"]
        : [task.prefill && "prefill", task.decode && "decode and second turn"];
      return `  ${name(task)}: ${what.filter(Boolean).join(", ")}`;
    }),
    ...(notRun.length > 0 ? ["not run:"] : []),
    ...notRun.map((one) => `  ${name(one)}: ${one.reason}`),
  ].join("\n");
}
