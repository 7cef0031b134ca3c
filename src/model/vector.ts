/** f32 values of the file. */
export interface Vector {
  readonly length: number;
  read(): Promise<Float32Array>;
}
