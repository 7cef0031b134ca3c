import { useChat } from "@ai-sdk/react";
import { DirectChatTransport, ToolLoopAgent } from "ai";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { winnow } from "winnow-llm/ai-sdk";

const model = winnow(new URL("/model.gguf", location.href).href, { cache: { budget: 512 } });
const agent = new ToolLoopAgent({ model, temperature: 0, maxOutputTokens: 12 });
const transport = new DirectChatTransport({
  agent,
  messageMetadata: ({ part }) =>
    part.type === "finish"
      ? { cached: part.totalUsage.inputTokenDetails.cacheReadTokens }
      : undefined,
});

function Chat() {
  const { messages, sendMessage, status, stop, error } = useChat({ transport });
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    sendMessage({ text });
    setText("");
  };
  return (
    <main data-status={status}>
      {messages.map(({ id, role, parts, metadata }) => (
        <p key={id} className={role} data-cached={metadata?.cached}>
          {parts.map((part) => (part.type === "text" ? part.text : ""))}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form onSubmit={submit}>
        <input aria-label="Message" value={text} onChange={({ target }) => setText(target.value)} />
        <button type="submit">Send</button>
        <button type="button" onClick={stop}>
          Stop
        </button>
      </form>
    </main>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(
  <StrictMode>
    <Chat />
  </StrictMode>,
);
