import { createElement, StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { run, safely } from "./run.js";

// StrictMode mounts twice: the first engine is stopped while it loads.
function Chat() {
  const [text, setText] = useState("");
  useEffect(() => {
    const { signal, abort } = controller();
    globalThis.result = safely(run({ signal }));
    globalThis.result.then(({ first }) => setText(first ?? ""));
    return abort;
  }, []);
  return createElement("p", null, text);
}

function controller() {
  const made = new AbortController();
  return { signal: made.signal, abort: () => made.abort() };
}

createRoot(document.body.appendChild(document.createElement("div"))).render(
  createElement(StrictMode, null, createElement(Chat)),
);
