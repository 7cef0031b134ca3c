/** What a page says to the engine's worker, with the port that they talk on. */
export const GREETING = "winnow-llm: an engine, please";

/** Where an imported `winnow-llm/worker` leaves the function that makes an engine in the same thread. */
export const ENGINE_HERE: unique symbol = Symbol.for("winnow-llm/worker");
