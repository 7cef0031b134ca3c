"""Draws what streams.py has measured: perplexity over the tokens of a chat.

    python tests/reference/measurements/plot_streams.py src/eval/long-chat.svg OUT.json...
"""

import json
import math
import sys

INK, FAINT, COLOURS = "#2c2a24", "#8b8577", ("#1d5a4a", "#c08a1e", "#b3261e", "#4a5a8a")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 320, 60, 24, 40, 270
NAMES = {"fold": "positions folded", "rank": "own positions", "true": "true positions"}
LOW, HIGH, TRAINED = 20, 640, 8192


def main(out, *files):
    lines = []
    for file in files:
        with open(file, encoding="utf-8") as f:
            data = json.load(f)
        for run, values in zip(data["runs"], data["perplexity"]):
            policy, _, map_ = run.split(":")
            lines.append((f"{policy}, {NAMES[map_]}", [((i + 0.5) * data["bin"], y) for i, y in enumerate(values)]))
    last = max(x for _, points in lines for x, _ in points)
    x_of = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / last
    y_of = lambda y: BOTTOM - (BOTTOM - TOP) * math.log(min(y, HIGH) / LOW) / math.log(HIGH / LOW)
    text = lambda x, y, words, more="": f'<text x="{x:.0f}" y="{y:.0f}" {more}>{words}</text>'
    body = [f'<path d="M{LEFT} {TOP}V{BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="{INK}"/>']
    for y in (20, 40, 80, 160, 320, 640):
        body.append(text(LEFT - 8, y_of(y) + 4, y, 'text-anchor="end"'))
        body.append(f'<path d="M{LEFT} {y_of(y):.1f}H{WIDTH - RIGHT}" stroke="{FAINT}" stroke-opacity=".25"/>')
    for x in range(0, int(last), 16384):
        body.append(text(x_of(x), BOTTOM + 18, f"{x:,}", 'text-anchor="middle"'))
    body.append(f'<path d="M{x_of(TRAINED):.1f} {TOP}V{BOTTOM}" stroke="{FAINT}" stroke-dasharray="4 4"/>')
    body.append(text(x_of(TRAINED) + 6, BOTTOM - 8, "trained length", f'fill="{FAINT}"'))
    for i, (name, points) in enumerate(lines):
        path = "L".join(f"{x_of(x):.1f} {y_of(y):.1f}" for x, y in points)
        body.append(f'<path d="M{path}" fill="none" stroke="{COLOURS[i]}" stroke-width="2.5"/>')
        body.append(text(WIDTH - RIGHT, TOP + 34 + 18 * i, name, f'fill="{COLOURS[i]}" text-anchor="end"'))
    body.append(text(WIDTH - RIGHT, BOTTOM + 36, "tokens of the chat", 'text-anchor="end"'))
    body.append(text(LEFT, 22, "perplexity"))
    title = "Perplexity over the tokens of a chat, budget 256"
    with open(out, "w", encoding="utf-8") as f:
        f.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
            f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n<title>{title}</title>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#faf8f3"/>\n' + "\n".join(body) + "\n</svg>\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
