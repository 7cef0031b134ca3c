const { createEngine, WinnowError } = require("winnow-llm/node");

createEngine({ model: 7 }).catch((error) =>
  console.log(error instanceof WinnowError ? error.code : error),
);
