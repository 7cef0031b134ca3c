import type { ChatMessage } from "../../api/types.ts";

/** Conversations that are kept while they answer nothing. */
const KEPT = 8;

interface Conversation {
  readonly name: string;
  /** What it was asked last, a message per entry. */
  messages: readonly string[];
  busy: boolean;
}

/** A conversation that answers one prompt, until it is released. */
export interface Claim {
  readonly name: string;
  release(): void;
}

/**
 * Which conversation of an engine answers a prompt. Prompts of the AI SDK name no chat: the one that goes on is known by
 * its messages, and has them in its cache. A prompt that shares no message of a user with any chat begins a new one.
 */
export class Conversations {
  /** The one used longest ago first. */
  private readonly all: Conversation[] = [];
  private next = 1;

  claim(messages: readonly ChatMessage[]): Claim {
    const asked = messages.map((message) => JSON.stringify(message));
    const chosen = this.goingOn(messages, asked) ?? this.fresh();
    chosen.messages = asked;
    chosen.busy = true;
    this.all.splice(this.all.indexOf(chosen), 1);
    this.all.push(chosen);
    return {
      name: chosen.name,
      release: () => {
        chosen.busy = false;
      },
    };
  }

  /** The chat that most of the prompt comes from. */
  private goingOn(
    messages: readonly ChatMessage[],
    asked: readonly string[],
  ): Conversation | undefined {
    const first = messages.findIndex(({ role }) => role === "user");
    let [best, most]: [Conversation | undefined, number] = [undefined, first];
    if (first < 0) return undefined;
    for (const one of this.all) {
      const common = one.busy ? 0 : commonLength(one.messages, asked);
      if (common > most) [best, most] = [one, common];
    }
    return best;
  }

  /** A new one, or the one used longest ago, whose cache then gives way to what is asked. */
  private fresh(): Conversation {
    const idle = this.all.filter(({ busy }) => !busy);
    if (idle.length >= KEPT) return idle[0]!;
    const made = { name: `ai-sdk-${this.next++}`, messages: [], busy: false };
    this.all.push(made);
    return made;
  }
}

function commonLength(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}
