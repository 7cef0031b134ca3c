/** What a calibration takes, tells and finds. */

/** What a calibration reads, and where its result goes. */
export interface CalibrateOptions {
  /** Texts of `samples` tokens or more in all. Default: text that the model writes itself. */
  texts?: readonly string[];
  /** Queries sampled per head. Default 3,000, or 1,024 if the model writes its own text. */
  samples?: number;
  /** Seed of the sampling, and of the model's own text. Default 0. */
  seed?: number;
  /** Keeps the result in this browser (in Node: on this disk) for the next `createEngine`. Default true. */
  keep?: boolean;
  /** Is told how far the calibration has come. */
  onProgress?: (progress: CalibrateProgress) => void;
  /** Stops within one prompt chunk or one head; nothing changes then. */
  signal?: AbortSignal;
}

/** How far a calibration has come. */
export interface CalibrateProgress {
  /**
   * "writing": the model writes text; "queries": texts are read; "filters": heads are solved; "install": the result
   * is put in use.
   */
  stage: "writing" | "queries" | "filters" | "install";
  /** What is done of `total`: tokens written, rows read summed over layers, or layers solved. */
  loaded: number;
  /** All that this stage has to do. */
  total: number;
}

/** How a calibration that begins by itself is getting on. */
export type SelfCalibration =
  | {
      /** It waits for requests to end, and two seconds longer. */
      state: "waiting";
    }
  | {
      /** It runs. */
      state: "running";
      /** How far it has come. */
      progress: CalibrateProgress;
    }
  | {
      /** It would take more than three minutes, so it is left to `engine.calibrate`. */
      state: "asking";
      /** How long it would take. */
      seconds: number;
    }
  | {
      /** `engine.stopCalibration` was called: it does not begin by itself again for this model. */
      state: "stopped";
    }
  | {
      /** It is done, and in use. */
      state: "done";
      /** What it has found. */
      result: CalibrationResult;
    }
  | {
      /** It failed; chats go on as before. */
      state: "failed";
      /** What went wrong. */
      message: string;
    };

/** What a calibration has found. */
export interface CalibrationResult {
  /** Layers that the budget governs. */
  layers: number;
  /** Kv heads per layer. */
  kvHeads: number;
  /** Dimensions of a head. */
  headDim: number;
  /** Queries per head that were used. */
  samples: number;
  /** Tokens that were read. */
  tokens: number;
  /** [layers][kvHeads]: the filter's share of the queries' summed squares, from 0 to 1. */
  explained: number[][];
  /** A safetensors file, as `filters` of `createEngine` and `winnow --filters` take it. */
  file: Uint8Array & {
    /** Not shared memory, so that it fits a Blob. */
    readonly buffer: ArrayBuffer;
  };
  /** Whether the next `createEngine` will find it. */
  kept: boolean;
}
