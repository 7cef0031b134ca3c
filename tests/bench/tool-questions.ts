/** 100 questions, each for one of five tools; made of phrases and things, 20 for each tool. */

const text = { type: "string", maxLength: 60 };
const tool = (name: string, description: string, properties: Record<string, object>) => ({
  type: "function" as const,
  function: {
    name,
    description,
    parameters: {
      type: "object",
      properties,
      required: Object.keys(properties),
      additionalProperties: false,
    },
  },
});

export const TOOLS = [
  tool("get_weather", "Tells the weather of a city.", { city: text }),
  tool("set_timer", "Rings after some minutes.", {
    minutes: { type: "integer", minimum: 1, maximum: 999 },
  }),
  tool("send_email", "Sends an email to a person.", { to: text, subject: text }),
  tool("translate", "Translates a text into another language.", {
    text,
    language: { enum: ["French", "German", "Italian", "Spanish"] },
  }),
  tool("calculate", "Works out an expression with numbers.", { expression: text }),
];

const QUESTIONS: Readonly<
  Record<string, readonly [phrases: readonly string[], things: readonly string[]]>
> = {
  get_weather: [
    [
      "What is the weather in X?",
      "Is it raining in X today?",
      "How warm is it in X?",
      "Do I need a coat in X?",
      "Tell me the forecast for X.",
    ],
    ["Paris", "Lagos", "Osaka", "Lima"],
  ],
  set_timer: [
    [
      "Set a timer for X minutes.",
      "Wake me in X minutes.",
      "Remind me in X minutes.",
      "Ring after X minutes, please.",
      "The eggs need X minutes, tell me when they are done.",
    ],
    ["5", "8", "20", "45"],
  ],
  send_email: [
    [
      "Write an email to X about lunch.",
      "Send X a mail that I am late.",
      "Email X the plan.",
      "Let X know by mail that we won.",
      "Mail X my thanks.",
    ],
    ["Ann", "Bob", "the team", "my boss"],
  ],
  translate: [
    [
      'How do you say "X" in French?',
      'Translate "X" into German.',
      'What is "X" in Spanish?',
      'Say "X" in Italian.',
      'Put "X" into French.',
    ],
    ["good morning", "thank you", "where is the station", "I am hungry"],
  ],
  calculate: [
    ["What is X?", "Work out X.", "How much is X?", "Calculate X for me.", "Solve X."],
    ["12 * 7", "144 / 12", "19 + 28", "1000 - 357"],
  ],
};

export interface Question {
  readonly asked: string;
  readonly wanted: string;
  /** In which order the tools are offered. */
  readonly order: number;
}

/** In groups of 20 with one order of the tools each. */
export const questions = (): Question[] =>
  Object.entries(QUESTIONS)
    .flatMap(([wanted, [phrases, things]]) =>
      phrases.flatMap((phrase, p) =>
        things.map((thing, t) => ({
          asked: phrase.replace("X", thing),
          wanted,
          order: (p + t) % 5,
        })),
      ),
    )
    .sort((a, b) => a.order - b.order);

export const inOrder = (order: number) => [...TOOLS.slice(order), ...TOOLS.slice(0, order)];
