import type { LoadProgress } from "../../api/types.ts";
import type { CreateMonitor, CreateOptions } from "./types.ts";

/** Progress is told in steps of this. */
const STEP = 1 / 0x10000;

/** Tells what `create` was given of the download: 0 first, 1 at last, and never less than before. */
export class DownloadMonitor {
  private readonly target: CreateMonitor;
  private last = -1;
  private over = false;

  /** What `monitor` throws is thrown. */
  constructor(monitor: CreateOptions["monitor"]) {
    this.target = Object.assign(new EventTarget(), { ondownloadprogress: null });
    this.target.addEventListener("downloadprogress", (event) =>
      this.target.ondownloadprogress?.(event),
    );
    monitor?.(this.target);
  }

  /** Nothing more is told. */
  end(): void {
    this.over = true;
  }

  readonly onProgress = ({ stage, loaded, total }: LoadProgress): void => {
    // The end is told once all else is done, too.
    if (stage === "download" && total > 0) this.tell(Math.min(loaded / total, 1 - STEP));
  };

  /** `share` of 1 that has come. */
  tell(share: number): void {
    const loaded = Math.floor(share / STEP) * STEP;
    if (this.over || loaded <= this.last) return;
    this.last = loaded;
    this.target.dispatchEvent(progressEvent(loaded));
  }
}

function progressEvent(loaded: number): Event {
  const fields = { lengthComputable: true, loaded, total: 1 };
  if (globalThis.ProgressEvent) return new ProgressEvent("downloadprogress", fields);
  return Object.assign(new Event("downloadprogress"), fields);
}
