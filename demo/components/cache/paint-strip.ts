import type { StripLayout } from "../../retention-layout.ts";

export const ROW_PX = 20;
const BAR_PX = 16;
const MIN_BAR_PX = 3;

/** Draws the bars: height and fill both say how many heads keep a token, so colour is not needed. */
export function paintStrip(
  canvas: HTMLCanvasElement,
  layout: StripLayout,
  marked: number | null,
  style: CSSStyleDeclaration,
): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = layout.rows * ROW_PX;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  context.scale(scale, scale);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const [chaff, wheat, ink] = [colour("--chaff"), colour("--wheat"), colour("--ink")];
  const pitch = width / layout.columns;
  const gap = pitch > 5 ? 1.5 : 0.75;
  layout.cells.forEach((cell, index) => {
    const x = (index % layout.columns) * pitch;
    const base = Math.floor(index / layout.columns) * ROW_PX + ROW_PX - 2;
    const tall = MIN_BAR_PX + (BAR_PX - MIN_BAR_PX) * cell.share;
    const bar = (): void => {
      context.beginPath();
      context.roundRect(x, base - tall, pitch - gap, tall, Math.min(2, (pitch - gap) / 2));
      context.fill();
    };
    context.fillStyle = chaff;
    bar();
    context.fillStyle = wheat;
    context.globalAlpha = cell.share === 0 ? 0 : 0.25 + 0.75 * cell.share;
    bar();
    context.globalAlpha = 1;
    if (index !== marked) return;
    context.fillStyle = ink;
    context.fillRect(x, base + 0.5, pitch - gap, 1.5);
  });
}
