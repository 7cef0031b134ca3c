import slots from "../../../shaders/lib/page_slots.wgsl";
import f16 from "../../../shaders/lib/pages_f16.wgsl";
import f32 from "../../../shaders/lib/pages_f32.wgsl";
import q8 from "../../../shaders/lib/pages_q8.wgsl";
import { type Wgsl, wgslConstants } from "../../gpu/kernel.ts";
import { type KvStorage, PAGE_SLOTS, type PageFormat } from "./page-format.ts";

const CODE: Readonly<Record<KvStorage, readonly string[]>> = { f16, q8, f32 };

/** How a shader reaches pages: by units (read only, as attention does) or by words, to read or to write. */
export type PageAccess = "read units" | "read words" | "write words";

/** The constants of every shader of the cache, D and P, and further ones. */
export const pagedConstants = (
  { headDim, pageSlots = PAGE_SLOTS }: PageFormat,
  constants: Record<string, number | boolean> = {},
): string => wgslConstants({ HEAD_DIM: headDim, PAGE_SLOTS: pageSlots, ...constants });

/**
 * WGSL to reach the pages in the binding `source`: SOURCE_octet, SOURCE_write and so on under the binding's
 * name, since the pages and the prompt's chunk may be stored differently.
 */
export function pageCode(
  source: string,
  { storage = "f16" }: PageFormat,
  ...access: PageAccess[]
): string[] {
  const imports = CODE[storage].slice(0, -1);
  const [common, ...parts] = CODE[storage].at(-1)!.split("//: part ");
  const wanted = parts.filter((part) => access.some((name) => part.startsWith(`${name}\n`)));
  const own = [common!, ...wanted.map((part) => `// ${part}`)];
  return ofSource([...imports, ...slots, ...own], source);
}

/** WGSL that is written for a binding `source`, with its functions and constants, for another one's. */
export const ofSource = (code: Wgsl, source: string): string[] =>
  [code]
    .flat()
    .map((text) =>
      text
        .replaceAll("SOURCE_", `${source.toUpperCase()}_`)
        .replace(/\b(attend_)?source(?=_|\b)/g, `$1${source}`),
    );
