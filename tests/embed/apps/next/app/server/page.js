import { createEngine } from "winnow-llm";

export const dynamic = "force-dynamic";

export default async function Page() {
  const said = await createEngine({ model: "smollm2-135m-instruct" }).catch(
    ({ name, code, hint }) => `${name} ${code}: ${hint}`,
  );
  return <p id="said">{`${said}`}</p>;
}
