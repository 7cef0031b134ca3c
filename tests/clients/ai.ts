/** What tests use of the AI SDK in a page. */
export { generateText, jsonSchema, Output, streamText } from "ai";
