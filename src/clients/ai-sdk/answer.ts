import type { ChatCompletion, ChatCompletionChunk, Usage } from "../../api/types.ts";
import { defined } from "../../defined.ts";
import type {
  Content,
  FinishReason,
  GenerateResult,
  StreamPart,
  Usage as UsageV4,
  Warning,
} from "./spec.ts";

/** What is said of a finished answer, streamed or whole. */
export interface Ending {
  finishReason: FinishReason;
  usage: UsageV4;
}

const REASONS: Readonly<Record<string, FinishReason["unified"]>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  error: "error",
};

export const endingOf = (reason: string, usage: Usage | undefined): Ending => ({
  finishReason: { unified: REASONS[reason] ?? "other", raw: reason },
  usage: usageOf(usage),
});

function usageOf(usage: Usage | undefined): UsageV4 {
  const total = usage?.completion_tokens;
  const reasoning = usage?.completion_tokens_details?.reasoning_tokens;
  const cacheRead = usage?.prompt_tokens_details.cached_tokens;
  return {
    inputTokens: {
      total: usage?.prompt_tokens,
      noCache: usage && usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
      cacheRead,
      cacheWrite: undefined,
    },
    outputTokens: {
      total,
      text: total === undefined ? undefined : total - (reasoning ?? 0),
      reasoning,
    },
    ...(usage ? { raw: { ...usage } } : {}),
  };
}

/** A whole answer as content: thoughts, text, calls. */
export function contentOf({ message }: ChatCompletion["choices"][0]): Content[] {
  const { reasoning_content: reasoning, content: text, tool_calls: calls = [] } = message;
  return [
    ...(reasoning ? [{ type: "reasoning" as const, text: reasoning }] : []),
    ...(text ? [{ type: "text" as const, text }] : []),
    ...calls.map(({ id, function: { name, arguments: input } }) => ({
      type: "tool-call" as const,
      toolCallId: id,
      toolName: name,
      input,
    })),
  ];
}

/** The parts of a streamed answer. `raw`: whether chunks are handed on as they come, too. */
export async function* partsOf(
  chunks: AsyncIterable<ChatCompletionChunk>,
  {
    warnings,
    raw,
    providerMetadata,
  }: { warnings: Warning[]; raw: boolean; providerMetadata: GenerateResult["providerMetadata"] },
): AsyncGenerator<StreamPart> {
  yield { type: "stream-start", warnings };
  const blocks = new Blocks();
  let ending = endingOf("", undefined);
  let begun = false;
  for await (const chunk of chunks) {
    if (raw) yield { type: "raw", rawValue: chunk };
    const { id, created, model } = chunk;
    if (!begun)
      yield { type: "response-metadata", id, modelId: model, timestamp: new Date(created * 1000) };
    begun = true;
    const [choice] = chunk.choices;
    yield* blocks.take(choice.delta);
    if (choice.finish_reason) ending = endingOf(choice.finish_reason, chunk.usage);
  }
  yield* blocks.close();
  yield { type: "finish", ...ending, ...defined({ providerMetadata }) };
}

type Delta = ChatCompletionChunk["choices"][0]["delta"];
type Block =
  | { readonly kind: "text" | "reasoning"; readonly id: string }
  | { readonly kind: "call"; readonly id: string; readonly name: string; input: string };

/** What is being said: one thing at a time, each with its start and its end. */
class Blocks {
  private open: Block | undefined;
  private count = 0;

  *take(delta: Delta): Generator<StreamPart> {
    if (delta.reasoning_content) yield* this.say("reasoning", delta.reasoning_content);
    if (delta.content) yield* this.say("text", delta.content);
    for (const { id, function: called } of delta.tool_calls ?? []) {
      if (id !== undefined)
        yield* this.begin({ kind: "call", id, name: called?.name ?? "", input: "" });
      const { open } = this;
      if (open?.kind !== "call" || !called?.arguments) continue;
      open.input += called.arguments;
      yield { type: "tool-input-delta", id: open.id, delta: called.arguments };
    }
  }

  *close(): Generator<StreamPart> {
    const { open } = this;
    this.open = undefined;
    if (!open) return;
    if (open.kind !== "call") {
      yield { type: `${open.kind}-end`, id: open.id };
      return;
    }
    yield { type: "tool-input-end", id: open.id };
    yield { type: "tool-call", toolCallId: open.id, toolName: open.name, input: open.input };
  }

  private *say(kind: "text" | "reasoning", delta: string): Generator<StreamPart> {
    if (this.open?.kind !== kind) yield* this.begin({ kind, id: `${kind}-${this.count++}` });
    yield { type: `${kind}-delta`, id: this.open!.id, delta };
  }

  private *begin(block: Block): Generator<StreamPart> {
    yield* this.close();
    this.open = block;
    if (block.kind === "call")
      yield { type: "tool-input-start", id: block.id, toolName: block.name };
    else yield { type: `${block.kind}-start`, id: block.id };
  }
}
