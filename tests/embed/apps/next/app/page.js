"use client";
import { useEffect } from "react";
import { run, safely } from "../run.js";

export default function Page() {
  useEffect(() => {
    globalThis.result ??= safely(run());
  }, []);
  return <p>A client component.</p>;
}
