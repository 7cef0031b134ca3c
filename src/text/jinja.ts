/**
 * The template language, in a chunk of its own that comes while the weights do. Imports nothing of ours:
 * a chunk that imports the worker's code makes some bundlers run the worker twice.
 */
export { Template } from "@huggingface/jinja";
