import type { ModelSource } from "../../src/api/types.ts";
import { assumedGpuBytes } from "../../src/engine/memory/assumed-bytes.ts";
import { usesFakeEngine } from "./engine-source.ts";

/** A model the user can load. */
export interface ModelChoice {
  label: string;
  source: ModelSource;
  /** Download size where it is known beforehand. */
  bytes: number | null;
  /** GPU bytes of weights and cache at the budget it begins with, where known beforehand. */
  needs?: number;
  license?: string;
}

const FALLBACK: ModelChoice[] = [
  { label: "SmolLM2-135M-Instruct", source: "smollm2-135m-instruct", bytes: 98_362_432 },
];

/** The models of models.json; the default model alone where the list cannot be read. */
export async function registeredModels(): Promise<ModelChoice[]> {
  try {
    const response = await fetch(`${import.meta.env.BASE_URL}models.json`);
    if (!response.ok) return FALLBACK;
    const choices = entriesOf(await response.json()).flatMap(toChoice);
    return choices.length > 0 ? choices : FALLBACK;
  } catch {
    return FALLBACK;
  }
}

function entriesOf(list: unknown): unknown[] {
  if (Array.isArray(list)) return list;
  if (isRecord(list) && Array.isArray(list.models)) return list.models;
  if (isRecord(list)) {
    const models = isRecord(list.models) ? list.models : list;
    return Object.entries(models).map(([name, entry]) =>
      isRecord(entry) ? { name, ...entry } : {},
    );
  }
  return [];
}

function toChoice(entry: unknown): ModelChoice[] {
  if (!isRecord(entry) || typeof entry.name !== "string") return [];
  const label = [entry.title, entry.label].find((text) => typeof text === "string");
  return [
    {
      label: typeof label === "string" ? label : prettyName(entry.name),
      source: entry.name,
      bytes: typeof entry.bytes === "number" ? entry.bytes : null,
      ...needsOf(entry),
      ...(typeof entry.license === "string" ? { license: entry.license } : {}),
    },
  ];
}

function needsOf({ needs, budget }: Record<string, unknown>): { needs?: number } {
  const bytes = isRecord(needs) ? needs[String(budget)] : undefined;
  return typeof bytes === "number" ? { needs: bytes } : {};
}

const prettyName = (name: string): string =>
  name === "smollm2-135m-instruct" ? "SmolLM2-135M-Instruct" : name;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The browser's WebGPU, asked for before anything is downloaded. */
export interface GpuProbe {
  state: "checking" | "ready" | "software" | "missing";
  text: string;
  /** Bytes that a page may use, as far as can be told; undefined without an adapter. */
  available?: number;
}

export async function probeGpu(): Promise<GpuProbe> {
  if (usesFakeEngine)
    return { available: 2 ** 31, state: "ready", text: "Stand-in engine: no GPU needed" };
  if (!("gpu" in navigator) || navigator.gpu === undefined)
    return {
      state: "missing",
      text: window.isSecureContext
        ? "This browser has no WebGPU. Current Chrome, Edge, Safari and Firefox do."
        : "WebGPU needs a secure page: open this one over https or on localhost.",
    };
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (adapter === null)
    return { state: "missing", text: "WebGPU is here, but it offers no graphics adapter." };
  const { vendor, architecture, description } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "adapter found";
  const software =
    adapter.info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${architecture}`);
  const { maxBufferSize } = adapter.limits;
  const { deviceMemory } = navigator as Navigator & { deviceMemory?: number };
  const available = assumedGpuBytes({ maxBufferSize, deviceMemory });
  return software
    ? {
        available,
        state: "software",
        text: `WebGPU on a software adapter (${name}): it works, a few tokens per second`,
      }
    : { available, state: "ready", text: `WebGPU ready: ${name}` };
}
