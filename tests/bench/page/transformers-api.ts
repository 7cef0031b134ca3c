/** What the bench uses of transformers.js. The package is fetched when the bench needs it, so its own types are not here. */

export interface Tensor {
  readonly data: ArrayLike<number> | BigInt64Array;
}

export interface Cache {
  dispose(): Promise<unknown>;
}

type FromPretrained<T> = {
  from_pretrained(model: string, options?: { dtype: string; device: string }): Promise<T>;
};

export interface Tokenizer {
  (text: string, options: { add_special_tokens: boolean }): { input_ids: { data: BigInt64Array } };
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
}

export interface Model {
  readonly config: Readonly<Record<string, number>>;
  generate(options: Readonly<Record<string, unknown>>): Promise<{
    sequences: { data: BigInt64Array };
    past_key_values: Cache;
  }>;
}

export interface Transformers {
  readonly env: {
    readonly version: string;
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    localModelPath: string;
    readonly backends: { readonly onnx: { readonly wasm: { wasmPaths: string } } };
  };
  readonly AutoTokenizer: FromPretrained<Tokenizer>;
  readonly AutoModelForCausalLM: FromPretrained<Model>;
  readonly Tensor: new (
    type: "int64" | "float32",
    data: BigInt64Array | Float32Array,
    shape: readonly number[],
  ) => Tensor;
  readonly DynamicCache: new (entries: Readonly<Record<string, Tensor>>) => Cache;
  readonly TextStreamer: new (
    tokenizer: Tokenizer,
    options: {
      skip_prompt: boolean;
      callback_function: () => void;
      token_callback_function: () => void;
    },
  ) => unknown;
}
