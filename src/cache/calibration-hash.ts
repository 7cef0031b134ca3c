import { sha256Of } from "../fetch/sha256.ts";
import type { CacheSettings } from "./budget.ts";
import type { Calibration } from "./filters-file.ts";
import { policyOf } from "./policies/index.ts";

/**
 * SHA-256 of the parts of a calibration that a policy uses: pages hold scores made with them, and head budgets come from
 * them. "" where it uses none.
 */
export async function calibrationHash(
  { policy: name }: Pick<CacheSettings, "policy">,
  calibration: Calibration | undefined,
): Promise<string> {
  const { needs, headBudgets } = policyOf(name);
  if (!calibration || (needs.length === 0 && !headBudgets)) return "";
  const { filters, statistics } = calibration;
  const parts: [name: string, values: ArrayLike<number>][] = needs.map((need) => [
    need,
    (need === "filters" ? filters.values : statistics[need]) ?? [],
  ]);
  const loss = headBudgets ? statistics.headLoss : undefined;
  if (loss) parts.push(["budgets", loss.budgets], ["headLoss", loss.values]);
  const twice = loss?.reread;
  if (twice) parts.push(["reread budgets", twice.budgets], ["rereadLoss", twice.values]);
  const hashes = await Promise.all(
    parts.map(async ([part, values]) => {
      const bytes = new Uint8Array(Float32Array.from(values).buffer);
      return `${part} ${await sha256Of(bytes)}`;
    }),
  );
  return sha256Of(hashes.join("\n"));
}
