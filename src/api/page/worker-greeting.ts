/** What a page says to the engine's worker, with the port that they talk on. */
export const GREETING = "winnow-llm: an engine, please";
