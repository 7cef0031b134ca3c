/** Guesses how an answer goes on, runs the guesses and knows what they cost: one chunk, loaded after a first token. */
export { Drafts } from "./drafts.ts";
export { Speculation } from "./speculation.ts";
export { StepCosts } from "./step-costs.ts";
