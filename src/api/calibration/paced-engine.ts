import type { Conversation } from "../../engine/chat/conversation.ts";
import type { GenerateOptions, GenerateResult } from "../../engine/chat/generate-options.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import type { CapturedHeads } from "../../engine/measuring/capture.ts";

/** The parts of an InferenceEngine that calibration uses. */
export type CalibratableEngine = Pick<
  InferenceEngine,
  | "tokenizer"
  | "template"
  | "contextLength"
  | "shape"
  | "captureHeads"
  | "rereadAttention"
  | "outputMatrix"
  | "info"
> & { unnamedConversation(): Pick<Conversation, "generate" | "reset"> };

/** The same engine, which awaits `pause` between two tokens, prompt chunks and matrices. */
export function pacedEngine(engine: CalibratableEngine, pause: () => Promise<void>) {
  const paced: CalibratableEngine = {
    tokenizer: engine.tokenizer,
    get template() {
      return engine.template;
    },
    contextLength: engine.contextLength,
    shape: engine.shape,
    info: () => engine.info(),
    outputMatrix: async (layer) => {
      await pause();
      return engine.outputMatrix(layer);
    },
    rereadAttention: async (tokens, signal) => {
      await pause();
      return engine.rereadAttention(tokens, signal);
    },
    async *captureHeads(tokens, signal): AsyncGenerator<CapturedHeads> {
      for await (const heads of engine.captureHeads(tokens, signal)) {
        if (heads.layer === 0) await pause();
        yield heads;
      }
    },
    unnamedConversation: () => {
      const conversation = engine.unnamedConversation();
      return {
        reset: () => conversation.reset(),
        async *generate(
          prompt: readonly number[],
          options: GenerateOptions,
        ): AsyncGenerator<number, GenerateResult> {
          await pause();
          const steps = conversation.generate(prompt, options);
          let ended = false;
          try {
            for (;;) {
              const { done, value } = await steps.next();
              if (done) {
                ended = true;
                return value;
              }
              yield value;
              await pause();
            }
          } finally {
            if (!ended) await steps.return(undefined as never);
          }
        },
      };
    },
  };
  return paced;
}
