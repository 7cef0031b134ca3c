import { expect, it, vi } from "vitest";
import { Template } from "../../../src/text/jinja.ts";

const render = (source: string, values: Record<string, unknown> = {}, guard = "") =>
  new Template(source).render(values, guard);

it.each([
  [
    "loops within loops",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
  ],
  ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
  [
    "two macros that call each other",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
  ],
  ["a loop that calls itself", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"],
  [
    "a caller that calls its macro",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
  ],
  [
    "a text that doubles",
    "{% set ns = namespace(t='x') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
  ],
  [
    "a list that doubles",
    "{% set ns = namespace(t=[1]) %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
  ],
  ["a text times a number", "{{ 'x' * 99999999999 }}"],
  ["a list times a number", "{{ [1] * 99999999999 }}"],
  ["a power", "{{ 9 ** 99999999 }}"],
  [
    "a number that squares itself",
    "{% set ns = namespace(t=3) %}{% for i in range(60) %}{% set ns.t = ns.t * ns.t %}{% endfor %}",
  ],
  ["a width", "{{ '%99999999999d' % 1 }}"],
  ["a width of format", "{{ '{:99999999999}'.format(1) }}"],
  ["a center", "{{ 'x' | center(99999999999) }}"],
  ["an indent", "{{ ('x\n' * 9999) | indent(99999999) }}"],
  ["a zfill", "{{ 'x'.zfill(99999999999) }}"],
  ["a ljust", "{{ 'x'.ljust(99999999999) }}"],
  ["an indent of JSON", "{{ [[1]] | tojson(indent=99999999999) }}"],
  ["a batch", "{{ [1] | batch(99999999999, 1) | list }}"],
  ["slices", "{{ [1] | slice(99999999999) | list }}"],
  ["a replaced text", "{{ ('x' * 9999999) | replace('x', 'x' * 9999) }}"],
  ["a joined text", "{{ ('x' * 9999999).join(['a'] * 9999) }}"],
  ["expandtabs", "{{ ('\t' * 9999).expandtabs(9999999) }}"],
  ["a width of a time", "{{ strftime_now('%999d' * 333) * 99999 }}"],
  ["digits", "{{ '%.99999999f' % 1 }}"],
  ["parentheses", `{{ ${"(".repeat(50_000)}1${")".repeat(50_000)} }}`],
  ["lists", `{{ ${"[".repeat(50_000)}${"]".repeat(50_000)} }}`],
  ["nots", `{{ ${"not ".repeat(50_000)}1 }}`],
  ["signs", `{{ ${"- ".repeat(50_000)}1 }}`],
  ["statements", `${"{% if 1 %}".repeat(50_000)}${"{% endif %}".repeat(50_000)}`],
  [
    "a list that is nested by a loop",
    "{% set ns = namespace(t=[]) %}{% for i in range(9999) %}{% set ns.t = [ns.t] %}{% endfor %}{{ ns.t }}",
  ],
  [
    "a list nested and compared",
    "{% set ns = namespace(t=[], u=[]) %}{% for i in range(9999) %}{% set ns.t = [ns.t] %}{% set ns.u = [ns.u] %}{% endfor %}{{ ns.t == ns.u }}",
  ],
])("ends %s with an error within seconds", (_, source) => {
  const start = performance.now();
  expect(() => render(source)).toThrow(expect.objectContaining({ raised: false }));
  expect(performance.now() - start).toBeLessThan(20_000);
});

it("takes long chains of operators, tests, filters and items", () => {
  expect(render(`{{ ${"1 + ".repeat(3000)}1 }}`)).toBe("3001");
  expect(render(`{{ 'a' ${"| upper ".repeat(3000)} }}`)).toBe("A");
  expect(render(`{{ ${"1 ~ ".repeat(3000)}1 }}`)).toHaveLength(3001);
});

it("renders long conversations", () => {
  const content = "lorem ipsum ".repeat(1000);
  const messages = Array.from({ length: 500 }, () => ({ role: "user", content }));
  const source = "{% for m in messages %}{{ m.role + m.content | trim }}{% endfor %}";
  expect(render(source, { messages })).toHaveLength(500 * (4 + 12 * 1000 - 1));
});

const REACHING = ["constructor", "__proto__", "prototype", "toString", "valueOf", "hasOwnProperty"];

it.each(REACHING)("has no %s of JavaScript's", (name) => {
  const values = { text: "x", list: [1], dict: { a: 1 }, number: 1, none: null };
  const things = [
    "text",
    "list",
    "dict",
    "number",
    "none",
    "range",
    "namespace()",
    "(1, 2)",
    "dict.items()",
    "dict.get",
    "list|map('string')",
    "range(3)",
  ];
  for (const thing of things)
    for (const access of [`(${thing}).${name}`, `(${thing})['${name}']`, `${name}`])
      expect(render(`{{ ${access} }}|{{ ${access} is defined }}`, values), access).toBe("|False");
  expect(render(`{{ {'${name}': 1}.${name} is defined }}`)).toBe(
    name === "__proto__" ? "False" : "True",
  );
});

it("keeps a key of a message that JavaScript's objects have too", () => {
  const values = { d: JSON.parse('{"__proto__": 1, "constructor": 2}') };
  expect(render("{{ d['__proto__'] }}{{ d.constructor }}{{ d | length }}", values)).toBe("122");
});

it.each([
  ["{% if x %}\n{{ 1 }}\n{% endfor %}", 3],
  ["a\nb\n{{ x | nope }}", 3],
  ["{{ 1 }}\n\n{% for x in [1] %}\n  {{ x.y.z }}\n{% endfor %}", 4],
  ["{#\n\n#}\n{% include 'x' %}", 4],
  ["{{ 'a\nb' }}\n{{ 1 ! }}", 3],
  ["a\r\nb\r\n{{ x() }}", 3],
])("says the line of what fails in %j", (source, line) => {
  expect(() => render(source)).toThrow(expect.objectContaining({ line }));
});

it("names the construct it does not know", () => {
  expect(() => render("{% include 'x' %}")).toThrow(/"include"/);
  expect(() => render("{% autoescape true %}{% endautoescape %}")).toThrow(/"autoescape"/);
  expect(() => render("{{ 1 | urlize }}")).toThrow(/filter "urlize"/);
  expect(() => render("{{ 1 is prime }}")).toThrow(/test "prime"/);
  expect(() => render("{{ lipsum() }}")).toThrow(/'lipsum' is undefined/);
  expect(() => render("{{ 'x'.encode() }}")).toThrow(/'encode'/);
});

it("writes dates in English, whatever the browser speaks", () => {
  vi.setSystemTime(new Date(2025, 8, 7, 19, 5, 9));
  const format = "%A %a %d %b %B %y %H:%M:%S %p %%";
  const english = "Sunday Sun 07 Sep September 25 19:05:09 PM %";
  const french = () => "septembre";
  const asked = (["toLocaleString", "toLocaleDateString", "toLocaleTimeString"] as const).map(
    (name) => vi.spyOn(Date.prototype, name).mockImplementation(french),
  );
  const locales = vi.spyOn(Intl, "DateTimeFormat");
  expect(render(`{{ strftime_now('${format}') }}`)).toBe(english);
  for (const spy of [...asked, locales]) expect(spy).not.toHaveBeenCalled();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const G = "\ufdd0";
it.each([
  // What is behind the arrow still has its guards.
  ["t", `<${G}b>`, `<${G}b>`],
  ["t | length", `<${G}b>`, "3"],
  ["t == '<b>'", `<${G}b>`, "True"],
  ["'<b>' in t", `a<${G}b>`, "True"],
  ["t.startswith('<b>')", `<${G}b>`, "True"],
  ["t.endswith('<b>')", `<${G}b>`, "True"],
  ["t.split('</b>')", `x<${G}/b>y<${G}c>`, `['x', 'y<${G}c>']`],
  ["t.split('</b>')[-1]", `x<${G}/b>y<${G}c>`, `y<${G}c>`],
  ["t.replace('<b>', '')", `x<${G}b>y<${G}c>`, `xy<${G}c>`],
  ["t | replace('<b>', '')", `x<${G}b>y`, "xy"],
  ["t[1:]", `x<${G}b>`, `<${G}b>`],
  ["t[0]", `<${G}b>`, `<${G}`],
  ["t | trim", ` <${G}b> `, `<${G}b>`],
  ["t.strip('<>')", `<${G}b>`, "b"],
  ["t.find('b')", `<${G}b>`, "1"],
  ["t.count('<b>')", `<${G}b><${G}b>`, "2"],
  ["t.partition('<b>')[2]", `a<${G}b>c`, "c"],
  ["t.removeprefix('<b>')", `<${G}b>c`, "c"],
  ["t.removesuffix('<b>')", `c<${G}b>`, "c"],
  ["{'<b>': 1}[t]", `<${G}b>`, "1"],
  ["t | upper", `<${G}b>`, `<${G}B>`],
  ["t | tojson", `<${G}b>`, `"<${G}b>"`],
  ["t | tojson(ensure_ascii=true)", `<${G}b>`, `"<${G}b>"`],
  ["[t]", `<${G}b>`, `['<${G}b>']`],
  ["'%-4s|' % t", `<${G}b>`, `<${G}b> |`],
  ["t | reverse", `a<${G}b>`, `>b<${G}a`],
  ["t < '<c'", `<${G}b>`, "True"],
  ["[t] | unique | list | length", `<${G}b>`, "1"],
  ["t in ['<b>']", `<${G}b>`, "True"],
  ["t is eq '<b>'", `<${G}b>`, "True"],
  ["t | int", `1${G}2`, "12"],
])("sees texts as if guards were not there: %s", (expression, t, expected) => {
  expect(render(`{{ ${expression} }}`, { t }, G)).toBe(expected);
});
