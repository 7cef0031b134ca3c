/** A stretch of a text on its way to words. */
export interface Piece {
  readonly text: string;
  /** Nothing stands before it in the text that is encoded. */
  readonly first: boolean;
}
