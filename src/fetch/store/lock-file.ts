/** A lock among processes: a file that is there while somebody holds it, and whose date is kept fresh meanwhile. */
import { rmSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { delay } from "../delay.ts";
import type { Release } from "./model-store.ts";

const POLL_MS = 100;
const FRESHEN_MS = 5_000;
/** Older than that, its holder is gone without a word, on this machine or another that shares the disk. */
const STALE_MS = 30_000;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/**
 * Waits until the lock is free; rejects with the signal's reason, once it was tried. A folder that cannot be written
 * cannot be locked, and then nothing is written there either.
 */
export async function lockFile(path: string, signal: AbortSignal): Promise<Release> {
  await mkdir(dirname(path), { recursive: true }).catch(() => undefined);
  for (;;) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(`${process.pid} ${hostname()}`);
      await file.close();
      return keepFresh(path);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") {
        if (["EACCES", "EROFS", "EPERM", "ENOENT"].includes(codeOf(error) ?? "")) return () => {};
        throw error;
      }
    }
    if (await removeStale(path)) continue;
    signal.throwIfAborted();
    await delay(POLL_MS, signal).catch(() => signal.throwIfAborted());
  }
}

function keepFresh(path: string): Release {
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, FRESHEN_MS);
  timer.unref();
  let held = true;
  return () => {
    clearInterval(timer);
    if (held) rmSync(path, { force: true });
    held = false;
  };
}

/** Whether the lock was one that nobody holds. Of several that find it so, one alone moves it away. */
async function removeStale(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return true;
  const holder = await readFile(path, "utf8").catch(() => "");
  const [pid, host] = holder.split(" ");
  const gone = host === hostname() && !isAlive(Number(pid));
  if (!gone && Date.now() - found.mtimeMs < STALE_MS) return false;
  const aside = `${path}.${process.pid}.stale`;
  await rename(path, aside).catch(() => undefined);
  const moved = await stat(aside).catch(() => undefined);
  // Somebody was quicker, and this is the lock that they took meanwhile.
  if (moved && moved.ino !== found.ino) await rename(aside, path).catch(() => undefined);
  else await rm(aside, { force: true });
  return true;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}
