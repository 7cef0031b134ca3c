import octet from "../../shaders/lib/octet.wgsl?raw";
import slots from "../../shaders/lib/page_slots.wgsl?raw";
import f16 from "../../shaders/lib/pages_f16.wgsl?raw";
import f32 from "../../shaders/lib/pages_f32.wgsl?raw";
import q8 from "../../shaders/lib/pages_q8.wgsl?raw";
import paging from "../../shaders/lib/paging.wgsl?raw";
import { wgslConstants } from "../gpu/kernel.ts";
import { type KvStorage, PAGE_SLOTS, type PageFormat } from "./page-format.ts";

const CODE: Readonly<Record<KvStorage, string>> = { f16, q8, f32 };

/** How a shader reaches pages: by units (read only, as attention does) or by words, to read or to write. */
export type PageAccess = "read units" | "read words" | "write words";

/** The beginning of every shader of the cache: D, P, further constants, and the structs of lib/paging. */
export const pagedCode = (
  { headDim, pageSlots = PAGE_SLOTS }: PageFormat,
  constants: Record<string, number | boolean> = {},
): string =>
  [wgslConstants({ HEAD_DIM: headDim, PAGE_SLOTS: pageSlots, ...constants }), paging, octet].join(
    "\n",
  );

/**
 * WGSL to reach the pages in the binding `source`: SOURCE_octet, SOURCE_write and so on under the binding's
 * name, since the pages and the prompt's chunk may be stored differently. Needs `pagedCode`.
 */
export function pageCode(
  source: string,
  { storage = "f16" }: PageFormat,
  ...access: PageAccess[]
): string {
  const [common, ...parts] = CODE[storage].split("//: part ");
  const wanted = parts.filter((part) => access.some((name) => part.startsWith(`${name}\n`)));
  return ofSource([common, slots, ...wanted.map((part) => `// ${part}`)].join("\n"), source);
}

/** WGSL that is written for a binding `source`, with its functions and constants, for another one's. */
export const ofSource = (code: string, source: string): string =>
  code
    .replaceAll("SOURCE_", `${source.toUpperCase()}_`)
    .replace(/\b(attend_)?source(?=_|\b)/g, `$1${source}`);
