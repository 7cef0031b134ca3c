const WIDTH = 24;
const REDRAW_MS = 100;
/** Where stderr is no terminal: a line at the start, at the end, each so many percent and each so many seconds. */
const STEP_PERCENT = 20;
const STEP_MS = 30_000;

/** A progress line on stderr that redraws in a terminal and stays short in a log. */
export class ProgressBar {
  private label = "";
  private drawn = 0;
  private percent = -1;
  private began = 0;

  update(label: string, loaded: number, total: number): void {
    if (label !== this.label) {
      this.end();
      this.label = label;
      this.began = Date.now();
    }
    const figures = amount(loaded, total) + timeLeft(Date.now() - this.began, loaded, total);
    const percent = total > 0 ? Math.min(100, Math.floor((100 * loaded) / total)) : 0;
    if (process.stderr.isTTY) {
      if (Date.now() - this.drawn < REDRAW_MS && percent < 100) return;
      this.drawn = Date.now();
      const full = Math.round((WIDTH * percent) / 100);
      const bar = "#".repeat(full) + "-".repeat(WIDTH - full);
      process.stderr.write(`\r${label} [${bar}] ${percent}% ${figures}\x1b[K`);
    } else {
      const begins = this.percent < 0;
      const due = percent >= this.percent + STEP_PERCENT || Date.now() - this.drawn >= STEP_MS;
      const ends = percent === 100 && this.percent < 100;
      if (!begins && !ends && !due) return;
      this.drawn = Date.now();
      process.stderr.write(`${label} ${percent}% ${figures}\n`);
    }
    this.percent = percent;
  }

  end(): void {
    if (this.label !== "" && process.stderr.isTTY && this.percent >= 0) process.stderr.write("\n");
    this.label = "";
    this.percent = -1;
    this.drawn = 0;
  }
}

/** Bytes from 1 MB on are written as MB; smaller totals are counts. */
function amount(loaded: number, total: number): string {
  if (total < 1e6) return `${loaded} / ${total}`;
  return `${(loaded / 1e6).toFixed(1)} / ${(total / 1e6).toFixed(1)} MB`;
}

/** An estimate for what takes long, once there is something to go by. */
function timeLeft(elapsedMs: number, loaded: number, total: number): string {
  const left = loaded > 0 ? (elapsedMs * (total - loaded)) / loaded / 1000 : 0;
  if (elapsedMs < 2000 || left < 1) return "";
  return left < 90 ? `, ${Math.round(left)} s left` : `, ${Math.round(left / 60)} min left`;
}
