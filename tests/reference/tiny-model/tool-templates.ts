import type { TinyText } from "./tiny-model.ts";

/** Chat templates of the manner of families that know of tools, as short as they can be. */

const turn = (body: string): string =>
  `{{ '<|im_start|>' + m.role + '\\n' }}${body}{{ '<|im_end|>\\n' }}`;
const PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** A system turn with the tools, then the turns; what a call and a result are written as. */
const chatml = (told: string, call: string, result: string): string =>
  `{% set rest = messages[1:] if messages[0].role == 'system' else messages %}` +
  `{% if tools or messages[0].role == 'system' %}{{ '<|im_start|>system\\n' }}` +
  `{% if messages[0].role == 'system' %}{{ messages[0].content + '\\n' }}{% endif %}` +
  `{% if tools %}${told}{% endif %}{{ '<|im_end|>\\n' }}{% endif %}` +
  `{% for m in rest %}{% if m.role == 'tool' %}${result}{% else %}` +
  `${turn(`{{ m.content }}{% for c in m.tool_calls or [] %}${call}{% endfor %}`)}` +
  `{% endif %}{% endfor %}${PROMPT}`;

const JSON_LIST = "{% for t in tools %}{{ t | tojson + '\\n' }}{% endfor %}";
const RESULT =
  "{{ '<|im_start|>user\\n<tool_response>\\n' + m.content + '\\n</tool_response><|im_end|>\\n' }}";

const hermes = chatml(
  `{{ '<tools>\\n' }}${JSON_LIST}{{ '</tools>' }}`,
  `{{ '\\n' if m.content or not loop.first }}{{ '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' }}` +
    "{{ c.function.arguments | tojson }}{{ '}\\n</tool_call>' }}",
  RESULT,
);

const xml = chatml(
  `{{ '<tools>\\n' }}${JSON_LIST}{{ '</tools>\\n<tool_call>\\n<function=name>\\n<parameter=key>\\nvalue\\n</parameter>\\n</function>\\n</tool_call>' }}`,
  "{{ '\\n' if m.content or not loop.first }}{{ '<tool_call>\\n<function=' + c.function.name + '>\\n' }}" +
    "{% for k, v in c.function.arguments | items %}{{ '<parameter=' + k + '>\\n' }}" +
    "{{ v if v is string else v | tojson }}{{ '\\n</parameter>\\n' }}{% endfor %}{{ '</function>\\n</tool_call>' }}",
  RESULT,
);

const lfm = chatml(
  "{{ '<|tool_list_start|>[' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ ']<|tool_list_end|>' }}",
  "",
  turn("{{ m.content }}"),
);

const gemma =
  "{% if tools or messages[0].role == 'system' %}{{ '<|im_start|>system\\n' }}" +
  "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}" +
  "{% for t in tools or [] %}{{ '<|tool>declaration:' + t.function.name + '{' + t.function.description + '}<tool|>' }}{% endfor %}" +
  "{{ '<|im_end|>\\n' }}{% endif %}" +
  "{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}" +
  "{% for c in m.tool_calls or [] %}{{ '<|tool_call>call:' + c.function.name + '{' }}" +
  "{% for k, v in c.function.arguments | dictsort %}{{ k + ':' }}" +
  "{% if v is string %}{{ '<|\"|>' + v + '<|\"|>' }}{% else %}{{ v | tojson }}{% endif %}{{ ',' if not loop.last }}{% endfor %}" +
  "{{ '}<tool_call|>' }}{% endfor %}" +
  "{% for r in m.tool_responses or [] %}{{ '<|tool_response>response:' + r.name + '{' + r.response | string + '}<tool_response|>' }}{% endfor %}" +
  "{% if not m.tool_responses %}{{ '<|im_end|>\\n' }}{% endif %}{% endif %}{% endfor %}" +
  "{% if add_generation_prompt and not messages[-1].tool_responses %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Tools stand in the first message of the user; calls are single, and arguments are "parameters". */
const llama =
  "{% set ns = namespace(told=tools is none) %}{% for m in messages %}" +
  "{% if 'tool_calls' in m %}{% if m.tool_calls | length != 1 %}{{ raise_exception('single tool-calls') }}{% endif %}" +
  '{{ \'<|im_start|>assistant\\n{"name": "\' + m.tool_calls[0].function.name + \'", "parameters": \' }}' +
  "{{ m.tool_calls[0].function.arguments | tojson + '}<|im_end|>\\n' }}" +
  "{% elif m.role == 'tool' %}{{ '<|im_start|>ipython\\n' + m.content + '<|im_end|>\\n' }}{% else %}" +
  "{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'user' and not ns.told %}{% set ns.told = true %}" +
  '{{ \'Answer in the form {"name": function name, "parameters": dictionary of argument name and its value}.\\n\' }}' +
  `${JSON_LIST}{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}${PROMPT}`;

/** Tools are a turn of their own; a list of calls behind a mark, which the template does not write itself. */
const granite =
  "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nAnswer with <|tool_call|> and a list of calls.<|im_end|>\n' }}{% endif %}" +
  "{% for m in messages %}{% if tools and loop.index0 == (1 if messages[0].role == 'system' else 0) %}" +
  "{{ '<|im_start|>available_tools\n' + tools | tojson(indent=4) + '<|im_end|>\n' }}{% endif %}" +
  `${turn("{{ m.content }}")}{% endfor %}${PROMPT}`;

/** Tools are a part of the system message, given with it. */
const phi =
  "{% for m in messages %}{% if m.role == 'system' and 'tools' in m and m.tools is not none %}" +
  "{{ '<|im_start|>system\n' + m.content + '<|tool|>' + m.tools + '<|/tool|><|im_end|>\n' }}" +
  `{% else %}${turn("{{ m.content }}")}{% endif %}{% endfor %}${PROMPT}`;

/** Names and arguments behind marks; the system message and the tools before all turns. */
const mistralOf = (call: string): string =>
  "{% if messages[0].role == 'system' %}{{ '[SYSTEM_PROMPT]' + messages[0].content + '[/SYSTEM_PROMPT]' }}{% endif %}" +
  "{% if tools %}{{ '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{% endif %}" +
  "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}" +
  "{% elif m.role == 'tool' %}{{ '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}" +
  `{% elif m.role == 'assistant' %}{{ m.content }}${call}{{ '<|im_end|>' }}{% endif %}{% endfor %}`;

const mistral = mistralOf(
  "{% for c in m.tool_calls or [] %}{{ '[TOOL_CALLS]' + c.function.name + '[ARGS]' + c.function.arguments | tojson }}{% endfor %}",
);

const mistralList = mistralOf(
  "{% if m.tool_calls %}{{ '[TOOL_CALLS][' }}{% for c in m.tool_calls %}{{ (c.function | tojson)[:-1] + ', \"id\": \"' + c.id + '\"}' }}" +
    "{{ ', ' if not loop.last }}{% endfor %}{{ ']' }}{% endif %}",
);

/** Knows of no tools, wants turns of user and assistant alone, and puts the system message into the first. */
const turns =
  "{% set rest = messages[1:] if messages[0].role == 'system' else messages %}" +
  "{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}" +
  "{{ '<|im_start|>' + ('model' if m.role == 'assistant' else m.role) + '\\n' }}" +
  "{% if loop.first and messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}" +
  "{{ m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>model\\n' }}{% endif %}";

export const TOOL_TEXTS = {
  hermes: { template: hermes },
  "hermes, control tokens": { template: hermes, controls: ["<tool_call>", "</tool_call>"] },
  "qwen-xml": { template: xml },
  lfm: {
    template: lfm,
    controls: [
      "<|tool_call_start|>",
      "<|tool_call_end|>",
      "<|tool_list_start|>",
      "<|tool_list_end|>",
    ],
  },
  gemma: {
    template: gemma,
    controls: ["<|tool_call>", "<tool_call|>", '<|"|>', "<|tool_response>"],
  },
  llama: { template: llama, controls: ["<|python_tag|>"] },
  granite: { template: granite, controls: ["<|tool_call|>"] },
  phi: {
    template: phi,
    controls: ["<|tool|>", "<|/tool|>", "<|tool_call|>", "<|/tool_call|>"],
  },
  mistral: { template: mistral, controls: ["[TOOL_CALLS]", "[ARGS]", "[INST]", "[/INST]"] },
  "mistral-list": { template: mistralList, controls: ["[TOOL_CALLS]", "[INST]", "[/INST]"] },
  plain: { template: turns },
} satisfies Record<string, TinyText>;
