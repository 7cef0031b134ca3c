import type { KvStorage } from "../kernels/pages/page-format.ts";

/** What is loaded, on which adapter, and how it runs. */
export interface EngineInfo {
  /** The model, as its file describes it. */
  model: {
    /** Its name. */
    name: string;
    /** Its family, by GGUF's name: llama, qwen3, gemma3 and so on. */
    architecture: string;
    /** How many weights it has. */
    parameters: number;
    /** How many positions it was trained for, in tokens. */
    contextLength: number;
    /** Size of its file. */
    bytes: number;
    /** Hash of its file, in lower-case hex. */
    sha256: string;
  };
  /** The adapter, in WebGPU's words. */
  adapter: {
    /** Who made it. */
    vendor: string;
    /** Its generation. */
    architecture: string;
    /** Its model, if the browser tells. */
    device: string;
    /** Its name, if the browser tells. */
    description: string;
    /** Whether it is a software adapter on the processor. */
    fallback: boolean;
  };
  /** WebGPU features in use. */
  features: string[];
  /** Kernel name -> variant in use. */
  kernels: Record<string, string>;
  /** How the kernels of the weight products were chosen. */
  tuning: {
    /** What `createEngine` was asked for. */
    mode: "off" | "fast" | "full";
    /** Whether the adapter's kind decided, a measurement of this load, or one that was remembered. */
    source: "adapter" | "measured" | "remembered";
    /** The kernels that were chosen. */
    plan: {
      /** For one row of activations. */
      row: string;
      /** For many rows. */
      tile: string;
    };
    /** What each kernel took; empty if nothing was measured. */
    timings: readonly {
      /** The kernel. */
      variant: string;
      /** Milliseconds. */
      ms: number;
    }[];
    /** How long measuring took. */
    seconds: number;
  };
  /** Default for requests that do not set `speculative`; "off" also if the model's shape rules guesses out. */
  speculative: "off" | "lookup";
  /** Storage of keys and values. */
  kv: KvStorage;
  /** What a budget costs: `heads` times `pairBytes` for each of its pairs. */
  cache: {
    /** Heads that a budget governs: kv heads of layers without a sliding window. */
    heads: number;
    /** Bytes of a pair, with its position and score. */
    pairBytes: number;
  };
  /** What the user should know and is no error: that another policy stepped in, for example. */
  notices: string[];
}
