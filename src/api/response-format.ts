/**
 * What an answer's text must be. Every token is drawn from those alone that fit, so the answer does fit, unless a stop string ends
 * it. Where `max_tokens` runs out it is brought to its end in time (finish_reason "length"), if they suffice for any that fits. What cannot be followed token by token is refused beforehand with the
 * error `invalid_argument`, which names the place.
 */
export type ResponseFormat =
  | {
      /** Any text. */
      type: "text";
    }
  | {
      /** Some JSON object. */
      type: "json_object";
    }
  | {
      /** JSON that a schema (2020-12) takes. */
      type: "json_schema";
      /** The schema and its name. */
      json_schema: {
        /** Accepted, without effect. */
        name: string;
        /** Accepted, without effect: tell the model in a message what the parts mean. */
        description?: string;
        /** The JSON schema. */
        schema?: { [key: string]: unknown };
        /** Accepted, without effect: a schema is always followed. */
        strict?: boolean | null;
      };
    }
  | {
      /** Text that a regular expression matches as a whole. Not in OpenAI's API. */
      type: "regex";
      /** A regular expression of JavaScript, without look-arounds, back references and word boundaries. */
      pattern: string;
    }
  | {
      /** Text of a grammar. Not in OpenAI's API. */
      type: "grammar";
      /** In llama.cpp's notation (GBNF); it begins with the rule `root`. */
      grammar: string;
    };
