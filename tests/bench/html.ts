import type { Comparison } from "./compare.ts";
import type { Report } from "./report.ts";

export function htmlReport(report: Report, comparison?: Comparison): string {
  return `<!doctype html><pre>${JSON.stringify({ report, comparison }, undefined, 1)}</pre>`;
}
