import type { ChatCompletionRequest } from "../../api/types.ts";
import { notSupported } from "./errors.ts";
import { readPrompt, type TextMessage } from "./read-prompt.ts";
import type {
  CreateCoreOptions,
  CreateOptions,
  LanguageModelParams,
  PromptTool,
  SamplingMode,
} from "./types.ts";

/** Temperatures of the sampling modes; "balanced" is the engine's own. */
const TEMPERATURES: Readonly<Record<SamplingMode, number>> = {
  "most-predictable": 0,
  predictable: 0.3,
  "slightly-predictable": 0.5,
  balanced: 0.7,
  "slightly-creative": 0.85,
  creative: 1,
  "most-creative": 1.3,
};

export const PARAMS: LanguageModelParams = {
  defaultTopK: 2 ** 20,
  maxTopK: 2 ** 20,
  defaultTemperature: TEMPERATURES.balanced,
  maxTemperature: 5,
};

/** Types that go in and come out beside text, as far as tools need them. */
const SUPPORTED = ["text", "tool-call", "tool-response"];
const TYPES = [...SUPPORTED, "image", "audio"];

/** How a session draws. */
export interface Sampling {
  readonly samplingMode: SamplingMode | null;
  readonly temperature: number;
  readonly topK: number;
}

/** Options that hold for a session's whole life. */
export interface SessionOptions {
  readonly sampling: Sampling;
  readonly tools: readonly PromptTool[];
  readonly initial: readonly TextMessage[];
}

/**
 * Checks the options of a session. Throws TypeError, RangeError, and NotSupportedError where they are in order and
 * nothing here can follow them.
 */
export function readOptions(options: CreateOptions): SessionOptions {
  const sampling = readSampling(options);
  const tools = [...(options.tools ?? [])].map(readTool);
  const names = new Set(tools.map(({ name }) => name));
  if (names.size < tools.length) throw new TypeError("Two tools have the same name.");
  const initial = options.initialPrompts ?? [];
  if (typeof initial === "string") throw new TypeError("initialPrompts must be a sequence.");
  const { messages, prefix } = readPrompt(initial);
  if (prefix) throw new DOMException("An initial prompt cannot be a prefix.", "SyntaxError");
  checkExpected(options);
  return { sampling, tools, initial: [...initial].length === 0 ? [] : messages };
}

function readSampling({ samplingMode, temperature, topK }: CreateCoreOptions): Sampling {
  const raw = temperature !== undefined || topK !== undefined;
  if (!raw) {
    const mode = samplingMode ?? "balanced";
    if (!Object.hasOwn(TEMPERATURES, mode)) throw new TypeError(`"${mode}" is no sampling mode.`);
    return { samplingMode: mode, temperature: TEMPERATURES[mode], topK: PARAMS.defaultTopK };
  }
  if (samplingMode !== undefined)
    throw new TypeError("A sampling mode does not go with temperature and topK.");
  if (temperature === undefined || topK === undefined)
    throw notSupported("temperature and topK must both be given, or neither of them.");
  const [heat, most] = [Number(temperature), Number(topK)];
  if (!(heat >= 0)) throw new RangeError("temperature must be 0 or more.");
  if (!(most >= 1)) throw new RangeError("topK must be 1 or more.");
  return {
    samplingMode: null,
    temperature: Math.min(heat, PARAMS.maxTemperature),
    topK: Math.min(Math.floor(most), PARAMS.maxTopK),
  };
}

function readTool(tool: PromptTool): PromptTool {
  const { name, description, inputSchema, execute } = tool ?? {};
  if (typeof name !== "string" || name === "") throw new TypeError("A tool must have a name.");
  if (typeof description !== "string" || description === "")
    throw new TypeError(`The tool "${name}" must have a description.`);
  if (typeof execute !== "function")
    throw new TypeError(`The tool "${name}" must have a function "execute".`);
  if (typeof inputSchema !== "object" || inputSchema === null)
    throw new TypeError(`The inputSchema of the tool "${name}" must be an object.`);
  // What a getter or a circle throws is the caller's to see.
  const schema = JSON.parse(JSON.stringify(inputSchema)) as Record<string, unknown>;
  if (schema.type !== "object")
    throw new TypeError(`The inputSchema of the tool "${name}" must have the type "object".`);
  const { properties = {}, required = [] } = schema;
  if (typeof properties !== "object" || properties === null || Array.isArray(properties))
    throw new TypeError(`The properties of the tool "${name}" must be an object.`);
  if (!Array.isArray(required))
    throw new TypeError(`What the tool "${name}" requires must be a list.`);
  return { name, description, inputSchema: schema, execute };
}

function checkExpected({ expectedInputs = [], expectedOutputs = [] }: CreateCoreOptions): void {
  const all = [...expectedInputs, ...expectedOutputs];
  for (const { type } of all)
    if (!TYPES.includes(type)) throw new TypeError(`"${type}" is no type of a message's content.`);
  // Throws RangeError for what is no tag.
  const languages = Intl.getCanonicalLocales(all.flatMap(({ languages = [] }) => [...languages]));
  const unsupported = all.find(({ type }) => !SUPPORTED.includes(type));
  if (unsupported) throw notSupported(`The model does not know the type "${unsupported.type}".`);
  const names = new Intl.DisplayNames("en", { type: "language", fallback: "none" });
  const unknown = languages.find((tag) => names.of(tag) === undefined);
  if (unknown) throw notSupported(`Nobody knows the language "${unknown}".`);
}

/** The fields of a request that a session's options ask for. */
export const requestFields = ({
  sampling,
  tools,
}: SessionOptions): Partial<ChatCompletionRequest> => ({
  temperature: sampling.temperature,
  ...(sampling.topK < PARAMS.maxTopK ? { top_k: sampling.topK } : {}),
  ...(tools.length === 0
    ? {}
    : {
        tools: tools.map(({ name, description, inputSchema }) => ({
          name,
          description,
          inputSchema,
        })),
      }),
});
