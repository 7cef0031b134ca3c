import { expect, it } from "vitest";
import { holds, soakServer } from "../../bench/serve-soak.ts";

it("withstands clients that leave, do not read and send what is malformed: nothing leaks, others get their answers", async () => {
  const report = await soakServer(60);
  expect(report.answers).toBeGreaterThan(15);
  expect(holds(report), JSON.stringify(report)).toBe(true);
});
