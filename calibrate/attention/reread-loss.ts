import type { HeadLoss } from "../../src/cache/filters-file.ts";
import type { SourceShape } from "../source/query-source.ts";

/** Pairs at which the loss is measured, as parts of a document: more of them where heads need few. */
const PARTS: readonly number[] = [
  0, 8, 16, 32, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 896, 960, 1024,
].map((pairs) => pairs / 1024);
/** First and last tokens, which are kept whatever their scores are. */
const SINKS = 4;
const WINDOW = 24;

/**
 * What second readings of some documents of one length say of the heads' budgets: see `REREAD_LOSS`. Which heads need how
 * much hardly depends on the document.
 */
export class RereadLoss {
  private readonly shape: SourceShape;
  private readonly budgets: readonly number[];
  /** [L, G, B]: sums over the documents. */
  private readonly sums: Float64Array;
  private documents = 0;

  /** `tokens`: of each document. */
  constructor(shape: SourceShape, tokens: number) {
    this.shape = shape;
    this.budgets = [...new Set(PARTS.map((part) => Math.round(part * tokens)))];
    this.sums = new Float64Array(shape.layers * shape.kvHeads * this.budgets.length);
  }

  /** [L][G][tokens]: the most attention that a row of the second reading pays to each pair. */
  add(attention: readonly (readonly Float32Array[])[]): void {
    this.documents += 1;
    for (const [layer, heads] of attention.entries())
      for (const [g, scores] of heads.entries())
        this.addHead(layer * this.shape.kvHeads + g, scores);
  }

  result(): HeadLoss {
    const values = Float32Array.from(this.sums, (sum) => Math.sqrt(sum / this.documents));
    return { budgets: this.budgets, values };
  }

  private addHead(head: number, scores: Float32Array): void {
    const kept = Math.min(SINKS + WINDOW, scores.length);
    const lowest = scores.slice(SINKS, Math.max(SINKS, scores.length - WINDOW)).sort();
    /** Of the n lowest scores, [n]. */
    const sums = [0];
    for (const score of lowest) sums.push(sums.at(-1)! + score);
    const at = head * this.budgets.length;
    for (const [b, budget] of this.budgets.entries())
      this.sums[at + b]! += sums[lowest.length - Math.max(0, budget - kept)]!;
  }
}
