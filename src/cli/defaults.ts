/** A command uses one conversation of a fresh engine. */
export const CONVERSATION = "default";
