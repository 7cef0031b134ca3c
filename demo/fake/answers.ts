const FENCE = "```";

/** Answers that exercise every kind of Markdown the page renders. */
const ANSWERS = [
  `Imagine you are listening to a very long story. You cannot remember **every** word, so you write the important ones on small cards.

## What the cards are

A *key-value cache* is that stack of cards. For each word the model keeps two things:

1. a **key**, which says what the word is about;
2. a **value**, which says what to take from it.

When the next word is due, the model looks through the keys, finds the ones that matter, and reads their values.

> The stack grows with every word. Winnow keeps it at a size that you choose.

That is all there is to it: fewer cards, the same story, and a little care about which ones to throw away.`,
  `Here is a quiet Sunday:

| Hour | What | Why |
|---|---|---|
| 8:00 | Wake without an alarm | Sleep is a gift |
| 9:00 | Bread, butter, coffee | Slowly |
| 11:00 | A walk by the river | The light is best then |
| 14:00 | A book, a blanket | And perhaps a nap |
| 18:00 | Soup | It makes itself |

And if you would rather write code, this counts the hours:

${FENCE}python
hours = [8, 9, 11, 14, 18]
gaps = [b - a for a, b in zip(hours, hours[1:])]
print(f"longest rest: {max(gaps)} hours")
${FENCE}

Tags that I write, such as <b>this one</b> or <script>alert(1)</script>, stay text. See also [the river](https://example.org/river), ![its picture](https://example.org/river.png) and [a trap](javascript:alert(1)).`,
  `The wheat leans over, the wind goes by,
a thousand small lanterns under the sky.
The farmer tosses the grain in the air:
what matters falls down, and the rest goes elsewhere.

- *Grain* is what the model will need again.
- *Chaff* is what it will never look at.`,
];

export function answerFor(question: string, request: number): string {
  const answer = ANSWERS[request % ANSWERS.length]!;
  return /long/i.test(question) ? Array.from({ length: 6 }, () => answer).join("\n\n") : answer;
}
