import type { Usage } from "../types.ts";

/** When a request began, and when tokens of its answer came. */
export class RemoteClock {
  private readonly began = performance.now();
  private first: number | undefined;
  private last = this.began;

  token(): void {
    this.last = performance.now();
    this.first ??= this.last;
  }

  /** A server's figures, with the speeds that were seen from here, the way there included. */
  usage(told: unknown): Usage {
    const given = (told ?? {}) as Partial<Usage>;
    const prompt = given.prompt_tokens ?? 0;
    const completion = given.completion_tokens ?? 0;
    const cached = given.prompt_tokens_details?.cached_tokens ?? 0;
    const first = ((this.first ?? performance.now()) - this.began) / 1000;
    const rest = this.first === undefined ? 0 : (this.last - this.first) / 1000;
    return {
      ...given,
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: given.total_tokens ?? prompt + completion,
      prompt_tokens_details: { ...given.prompt_tokens_details, cached_tokens: cached },
      extra: {
        prefill_tokens_per_s: first > 0 ? (prompt - cached) / first : 0,
        decode_tokens_per_s: rest > 0 ? (completion - 1) / rest : 0,
        time_to_first_token_s: first,
      },
    };
  }
}
