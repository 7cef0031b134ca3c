import { DUMPED, JSON_NOTATION, type Notation, written } from "../json/notation.ts";

/** How a family of models writes calls of tools. All of it is data; whatever it says is followed to the letter. */
export interface CallSyntax {
  readonly name: string;
  /** A chat template that has one of these is of the family. */
  readonly signs: readonly string[];
  /** Parts of the texts below that are control tokens where the vocabulary has them as such. */
  readonly markers: readonly string[];
  /**
   * Text that says that what follows is a call, wherever it comes. Undefined: calls have no mark, and an answer is one where
   * it begins like one.
   */
  readonly trigger?: string;
  /** May stand in front of the first call of an answer that has nothing else. */
  readonly prelude?: string;
  /** In front of the first call, and behind the last. */
  readonly begin: string;
  readonly end: string;
  /** In front of a call's name, between it and its arguments, and behind those. */
  readonly call: readonly [open: string, between: string, close: string];
  /** Between two calls; undefined: an answer has one alone. */
  readonly separator?: string;
  /** How the arguments are written, as an object, and how the values in them. */
  readonly arguments: Notation;
  readonly values: Notation;
  /** How arguments are written that take texts alone; undefined: as `values` says. */
  readonly texts?: Notation;
  /** What templates of the family want in place of messages of the role "tool". */
  readonly results?: "tool_responses";
  /** Templates of the family take the tools from a system message, as JSON of a list of functions. */
  readonly told?: "system";
}

const PYTHON: Notation = { ...DUMPED, name: "python ", words: ["None", "True", "False"] };
const AS_IT_IS = { begin: "", end: "", without: "\n</parameter>" };

const BARE: Notation = {
  ...JSON_NOTATION,
  name: "bare ",
  spaced: false,
  raw: { begin: '<|"|>', end: '<|"|>', without: '<|"|>' },
};

const BARE_CALL = '{"name": "';

export const HERMES: CallSyntax = {
  name: "hermes",
  signs: ["<tool_call>"],
  markers: ["<tool_call>", "</tool_call>"],
  trigger: "<tool_call>",
  begin: "",
  call: [`<tool_call>\n${BARE_CALL}`, '", "arguments": ', "}\n</tool_call>"],
  separator: "\n",
  end: "",
  arguments: DUMPED,
  values: DUMPED,
};

export const QWEN_XML: CallSyntax = {
  name: "qwen-xml",
  signs: ["<function="],
  markers: ["<tool_call>", "</tool_call>"],
  trigger: "<tool_call>",
  begin: "",
  call: ["<tool_call>\n<function=", ">\n", "\n</tool_call>"],
  separator: "\n",
  end: "",
  arguments: {
    ...DUMPED,
    name: "xml ",
    brackets: { object: ["", "</function>"], array: ["[", "]"] },
    comma: "",
    entry: ["<parameter=", ">\n", "\n</parameter>\n"],
    raw: AS_IT_IS,
  },
  values: DUMPED,
  texts: { ...DUMPED, name: "xml text ", raw: AS_IT_IS },
};

export const LFM: CallSyntax = {
  name: "lfm",
  signs: ["<|tool_call_start|>", "<|tool_list_start|>"],
  markers: ["<|tool_call_start|>", "<|tool_call_end|>"],
  trigger: "<|tool_call_start|>",
  begin: "<|tool_call_start|>[",
  call: ["", "(", ""],
  separator: ", ",
  end: "]<|tool_call_end|>",
  arguments: {
    ...PYTHON,
    name: "named ",
    brackets: { object: ["", ")"], array: ["[", "]"] },
    entry: ["", "=", ""],
    raw: AS_IT_IS,
  },
  values: PYTHON,
};

export const GEMMA: CallSyntax = {
  name: "gemma",
  signs: ["<|tool_call>"],
  markers: ["<|tool_call>", "<tool_call|>", '<|"|>'],
  trigger: "<|tool_call>",
  begin: "",
  call: ["<|tool_call>call:", "{", "<tool_call|>"],
  separator: "",
  end: "",
  arguments: { ...BARE, name: "bare named ", brackets: { ...BARE.brackets, object: ["", "}"] } },
  values: BARE,
  results: "tool_responses",
};

export const LLAMA: CallSyntax = {
  name: "llama",
  signs: ['"parameters": dictionary', "<|python_tag|>"],
  markers: ["<|python_tag|>"],
  prelude: "<|python_tag|>",
  begin: "",
  call: [BARE_CALL, '", "parameters": ', "}"],
  end: "",
  arguments: DUMPED,
  values: DUMPED,
};

/** Calls as a list of JSON behind a mark. */
const LISTED = {
  markers: ["<|tool_call|>"],
  trigger: "<|tool_call|>",
  begin: "<|tool_call|>[",
  call: [BARE_CALL, '", "arguments": ', "}"],
  separator: ", ",
  end: "]",
  arguments: DUMPED,
  values: DUMPED,
} as const;

export const GRANITE: CallSyntax = { ...LISTED, name: "granite", signs: ["<|tool_call|>"] };

export const PHI: CallSyntax = {
  ...LISTED,
  name: "phi",
  signs: ["<|/tool|>"],
  markers: ["<|tool_call|>", "<|/tool_call|>"],
  end: "]<|/tool_call|>",
  told: "system",
};

/** Of Ministral 3 and its like; older models of the house write a list. */
export const MISTRAL: CallSyntax = {
  ...LISTED,
  name: "mistral",
  signs: ["[ARGS]"],
  markers: ["[TOOL_CALLS]", "[ARGS]"],
  trigger: "[TOOL_CALLS]",
  begin: "",
  call: ["[TOOL_CALLS]", "[ARGS]", ""],
  separator: "",
  end: "",
};

export const MISTRAL_LIST: CallSyntax = {
  ...LISTED,
  name: "mistral-list",
  signs: ["[TOOL_CALLS]"],
  markers: ["[TOOL_CALLS]"],
  trigger: "[TOOL_CALLS]",
  begin: "[TOOL_CALLS][",
};

/** For models that know of no calls: told to them by the system message. */
export const PLAIN: CallSyntax = {
  name: "plain",
  signs: [],
  markers: [],
  begin: "",
  call: [BARE_CALL, '", "arguments": ', "}"],
  separator: "\n",
  end: "",
  arguments: DUMPED,
  values: DUMPED,
};

/** Those whose signs may stand in others' templates too come last. */
export const SYNTAXES: readonly CallSyntax[] = [
  QWEN_XML,
  LFM,
  GEMMA,
  PHI,
  GRANITE,
  MISTRAL,
  MISTRAL_LIST,
  HERMES,
  LLAMA,
];

/** Calls as the model would have written them. */
export function spellCalls(
  syntax: CallSyntax,
  calls: readonly { readonly name: string; readonly arguments: object }[],
): string {
  const { begin, end, call, separator = "\n", values } = syntax;
  const [open, between, close] = call;
  const spelled = calls.map(({ name, arguments: given }) => {
    // What the notation cannot hold is shown as JSON.
    const text = written(given, syntax.arguments, values) ?? JSON.stringify(given);
    return open + name + between + text + close;
  });
  return begin + spelled.join(separator) + end;
}
