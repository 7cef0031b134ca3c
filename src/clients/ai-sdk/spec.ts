/**
 * The types of the AI SDK's provider specification V4, taken from `ai` itself: apps install that package, and its own
 * dependencies are not theirs to import.
 */
import type { LanguageModel } from "ai";

/** A language model as the AI SDK calls it. */
export type LanguageModelV4 = Extract<
  LanguageModel,
  {
    /** The version of the specification. */
    specificationVersion: "v4";
  }
>;
export type CallOptions = Parameters<LanguageModelV4["doGenerate"]>[0];
export type GenerateResult = Awaited<ReturnType<LanguageModelV4["doGenerate"]>>;
export type StreamResult = Awaited<ReturnType<LanguageModelV4["doStream"]>>;

export type Prompt = CallOptions["prompt"];
export type PromptMessage = Prompt[number];
export type Warning = GenerateResult["warnings"][number];
export type Content = GenerateResult["content"][number];
export type FinishReason = GenerateResult["finishReason"];
export type Usage = GenerateResult["usage"];
export type StreamPart = StreamResult["stream"] extends ReadableStream<infer Part> ? Part : never;
