/** The style of reports: light and dark by the reader's setting, narrow screens scroll tables alone. */
const LIGHT = [
  "#2a6fbb",
  "#c4501b",
  "#25824a",
  "#8d44ad",
  "#a87900",
  "#b3265e",
  "#1a8a94",
  "#5b5bd6",
  "#6b7280",
  "#7a4a2b",
];
const DARK = [
  "#7fb2ee",
  "#f0935f",
  "#6cc88f",
  "#c99be0",
  "#dcb84a",
  "#ee7fab",
  "#6ed0d8",
  "#a7a7f5",
  "#b5bcc7",
  "#cfa283",
];

export const COLORS = LIGHT.length;

const variables = (colors: readonly string[]): string =>
  colors.map((color, i) => `--c${i}:${color}`).join(";");

export const STYLE = `
:root{color-scheme:light dark;--back:#fff;--text:#1d232b;--soft:#5c6773;--rule:#dde2e8;--card:#f6f8fa;--bad:#f3c7b8;--best:#a9dcbc;${variables(LIGHT)}}
@media(prefers-color-scheme:dark){:root{--back:#14181d;--text:#e4e8ee;--soft:#9aa6b2;--rule:#333c47;--card:#1c2229;--bad:#6b3526;--best:#1f5c3a;${variables(DARK)}}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1200px;padding:24px 16px 64px;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:40px 0 12px;padding-top:12px;border-top:1px solid var(--rule)}h3{font-size:16px;margin:24px 0 8px}
p{margin:6px 0}.soft{color:var(--soft)}
pre{background:var(--card);padding:12px;border-radius:8px;white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:16px}
figure{margin:0;padding:12px;background:var(--card);border-radius:10px;min-width:0}
figcaption{font-weight:600;margin-bottom:6px}
svg{width:100%;height:auto;display:block;font-size:12px}
@media(max-width:600px){svg{font-size:16px}}
svg text{fill:var(--soft)}.grid{stroke:var(--rule)}.ceiling{stroke:var(--text);stroke-dasharray:5 4;opacity:.7}
.line path{fill:none;stroke:currentColor;stroke-width:2}.line circle{fill:currentColor}.line path.bar{stroke-width:16;opacity:.4}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px;margin-top:6px}
.key::before{content:"";display:inline-block;width:14px;height:3px;margin-right:6px;vertical-align:middle;background:currentColor}
.key.dashed{color:var(--soft)}.key.dashed::before{background:repeating-linear-gradient(90deg,currentColor 0 4px,transparent 4px 7px)}
${LIGHT.map((_, i) => `.c${i}{color:var(--c${i})}`).join("")}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;white-space:nowrap}th{font-weight:600}
.figures td,.figures th{border-bottom:1px solid var(--rule)}
.figures td:nth-child(-n+2),.figures th:nth-child(-n+2){text-align:left}
.heat th[scope=row]{text-align:left}.heat td{background:color-mix(in oklab,var(--best) var(--good),var(--bad));border:2px solid var(--card);border-radius:6px;text-align:center}
.heat td.none{background:none;color:var(--soft)}`;
