import { checkCompletion } from "../checks/validate-completion.ts";
import type { CheckedRequest, CheckedRequestOptions } from "../checks/validate-request.ts";
import type { AnswerDelta } from "../protocol.ts";
import type {
  TextChoice,
  TextCompletion,
  TextCompletionRequest,
  TextLogprobs,
  TokenLogprob,
} from "../types.ts";
import { beginRequest, type CompletionPort, type Header, type Run } from "./begin-request.ts";
import { DeltaQueue } from "./delta-queue.ts";
import { toPrompts } from "./several-prompts.ts";

/** OpenAI's completions.create over a CompletionPort. */
export async function createText(
  port: CompletionPort,
  request: TextCompletionRequest,
  options: CheckedRequestOptions,
): Promise<AsyncIterable<TextCompletion> | TextCompletion> {
  const { checked, prompts, echo } = checkCompletion(request);
  const asked = toPrompts(port, prompts, echo);
  const { header, run, abort } = beginRequest(asked, "cmpl", checked, options);
  return checked.stream ? streamed(header, checked, run, abort) : whole(header, run);
}

/** A text as a whole. */
async function whole(header: Header, run: Run): Promise<TextCompletion> {
  const deltas: AnswerDelta[] = [];
  const { finishes, usage } = await run((batch) => void deltas.push(...batch.deltas));
  const [first, ...others] = finishes.map((finish, index) => {
    const own = deltas.filter((delta) => delta.index === index);
    const text = own.map(({ content = "" }) => content).join("");
    const logprobs = own.flatMap((delta) => delta.logprobs ?? []);
    return choiceOf(index, text, finish, logprobs, 0);
  });
  return { ...header, object: "text_completion", choices: [first!, ...others], usage };
}

/** A text piece by piece, and why it ended last. */
function streamed(
  header: Header,
  { includeUsage }: Pick<CheckedRequest, "includeUsage">,
  run: Run,
  abort: () => void,
): AsyncIterable<TextCompletion> {
  const queue = new DeltaQueue<TextCompletion>(abort);
  const shown: number[] = [];
  const push = (choice: TextChoice): void =>
    queue.push({ ...header, object: "text_completion", choices: [choice] });
  run((batch) => {
    for (const { index, content = "", logprobs = [] } of batch.deltas) {
      push(choiceOf(index, content, null, logprobs, shown[index] ?? 0));
      shown[index] = (shown[index] ?? 0) + content.length;
    }
  }).then(
    ({ finishes, usage }) => {
      const last = finishes.length - 1;
      finishes.forEach((finish, index) => {
        const choices: [TextChoice] = [choiceOf(index, "", finish, [], 0)];
        const piece = { ...header, object: "text_completion", choices } as const;
        queue.push(index === last && includeUsage ? { ...piece, usage } : piece);
      });
      queue.end();
    },
    (error: unknown) => queue.fail(error),
  );
  return queue;
}

const choiceOf = (
  index: number,
  text: string,
  finish: string | null,
  logprobs: readonly TokenLogprob[],
  offset: number,
): TextChoice => ({
  index,
  text,
  finish_reason: finish as TextChoice["finish_reason"],
  logprobs: logprobs.length === 0 ? null : logprobsOf(logprobs, offset),
});

function logprobsOf(logprobs: readonly TokenLogprob[], offset: number): TextLogprobs {
  let at = offset;
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top_logprobs: top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: logprobs.map(({ token }) => {
      const start = at;
      at += token.length;
      return start;
    }),
  };
}
