import type { Completion } from "../protocol.ts";
import type { Usage } from "../types.ts";
import type { CompletionPort } from "./begin-request.ts";

type Answering = Pick<CompletionPort, "modelName" | "complete">;
type Prompt = string | number[];

/**
 * Answers the same request to several prompts, one after the other: the choices of prompt p are p n to (p + 1) n - 1.
 * `echo`: each text begins with its prompt.
 */
export function toPrompts(port: Answering, prompts: readonly Prompt[], echo: boolean): Answering {
  return {
    modelName: port.modelName,
    async complete(request, options, onBatch) {
      let whole: Completion | undefined;
      for (const [p, prompt] of prompts.entries()) {
        const first = p * request.n;
        let said = echo
          ? Array.from({ length: request.n }, (_, i) => ({
              index: first + i,
              content: prompt as string,
            }))
          : [];
        const completion = await port.complete({ ...request, prompt }, options, (batch) => {
          const deltas = batch.deltas.map((delta) => ({ ...delta, index: first + delta.index }));
          onBatch({ ...batch, deltas: [...said, ...deltas] });
          said = [];
        });
        // Not a single token came.
        if (said.length > 0) onBatch({ deltas: said, figures: completion.figures });
        whole = whole ? joined(whole, completion) : completion;
      }
      return whole!;
    },
  };
}

const joined = (before: Completion, next: Completion): Completion => ({
  ...next,
  finishes: [...before.finishes, ...next.finishes],
  usage: sum(before.usage, next.usage),
});

function sum(a: Usage, b: Usage): Usage {
  const read = ({ prompt_tokens: all, prompt_tokens_details: { cached_tokens: cached } }: Usage) =>
    all - cached;
  const rate = (tokens: number, ratio: (usage: Usage) => number, of: (usage: Usage) => number) => {
    const seconds = [a, b].reduce(
      (all, one) => all + (ratio(one) > 0 ? of(one) / ratio(one) : 0),
      0,
    );
    return seconds > 0 ? tokens / seconds : 0;
  };
  const written = ({ completion_tokens: tokens }: Usage) => tokens;
  return {
    prompt_tokens: a.prompt_tokens + b.prompt_tokens,
    completion_tokens: a.completion_tokens + b.completion_tokens,
    total_tokens: a.total_tokens + b.total_tokens,
    prompt_tokens_details: {
      cached_tokens: a.prompt_tokens_details.cached_tokens + b.prompt_tokens_details.cached_tokens,
    },
    extra: {
      prefill_tokens_per_s: rate(read(a) + read(b), (u) => u.extra.prefill_tokens_per_s, read),
      decode_tokens_per_s: rate(
        written(a) + written(b),
        (u) => u.extra.decode_tokens_per_s,
        written,
      ),
      time_to_first_token_s: a.extra.time_to_first_token_s,
    },
  };
}
