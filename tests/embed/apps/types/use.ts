import { createEngine, type Engine, WinnowError } from "winnow-llm";
import { createEngine as inNode } from "winnow-llm/node";
import "winnow-llm/service-worker";
import "winnow-llm/worker";

export async function use(): Promise<Blob> {
  const engine: Engine = await createEngine({
    model: "smollm2-135m-instruct",
    worker: () => new Worker("worker.js", { type: "module" }),
  });
  const stream = await engine.chat.completions.create({
    messages: [{ role: "user", content: "Hello!" }],
    stream: true,
    response_format: { type: "json_object" },
  });
  for await (const chunk of stream) console.log(chunk.choices[0].delta.content ?? "");
  const { file } = await engine.calibrate();
  if (file.length === 0) throw new WinnowError("closed", "nothing was learned");
  await inNode({ model: "model.gguf", filters: file });
  return new Blob([file]);
}
