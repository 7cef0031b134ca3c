import { getDocument, PDFWorker, VerbosityLevel } from "pdfjs-dist/legacy/build/pdf.mjs";
import PdfThread from "pdfjs-dist/legacy/build/pdf.worker.mjs?worker";
import { throwIfAborted } from "../../src/errors.ts";
import type { Attachment } from "../state/chats/chat-types.ts";
import { documentError } from "./document-error.ts";
import type { ReadingOptions } from "./reading-options.ts";

/** Tables by which fonts of Chinese, Japanese and Korean name their characters, each fetched when a file asks for it. */
const MAPS = import.meta.glob<string>("../../node_modules/pdfjs-dist/cmaps/*.bcmap", {
  query: "?url",
  import: "default",
  exhaustive: true,
});

class MapReader {
  async fetch({ name }: { name: string }): Promise<{ cMapData: Uint8Array; isCompressed: true }> {
    const url = await MAPS[`../../node_modules/pdfjs-dist/cmaps/${name}.bcmap`]?.();
    if (url === undefined) throw new Error(`there is no character map ${name}`);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the character map ${name} could not be loaded`);
    return { cMapData: new Uint8Array(await response.arrayBuffer()), isCompressed: true };
  }
}

/** The words of a PDF, page by page. */
export async function pdfText(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  { signal, onProgress }: ReadingOptions,
): Promise<Omit<Attachment, "name">> {
  const thread = new PdfThread();
  // Its types know no port.
  const worker = new PDFWorker({
    port: thread as unknown as null,
    verbosity: VerbosityLevel.ERRORS,
  });
  const loading = getDocument({
    data: bytes,
    worker,
    CMapReaderFactory: MapReader,
    disableFontFace: true,
    useSystemFonts: false,
    isEvalSupported: false,
    verbosity: VerbosityLevel.ERRORS,
  });
  try {
    const { document, pages } = await open(name, loading.promise);
    const texts: string[] = [];
    for (let i = 1; i <= pages; i++) {
      throwIfAborted(signal);
      texts.push(await pageText(document, i));
      onProgress?.(i, pages);
    }
    return { kind: kindOf(name, texts), text: texts.join("\n\n") };
  } finally {
    await loading.destroy().catch(() => undefined);
    worker.destroy();
    thread.terminate();
  }
}

type Pdf = Awaited<ReturnType<typeof getDocument>["promise"]>;

async function open(
  name: string,
  opening: Promise<Pdf>,
): Promise<{ document: Pdf; pages: number }> {
  try {
    const document = await opening;
    return { document, pages: document.numPages };
  } catch (cause) {
    if ((cause as Error).name === "PasswordException")
      throw documentError(
        name,
        "is encrypted: it opens with a password only",
        "Save a copy without a password, by printing it to a PDF for example.",
        cause,
      );
    throw documentError(name, "is damaged, or no PDF", "Get the file again.", cause);
  }
}

/** A page that cannot be read counts as one without text: the others still have theirs. */
async function pageText(document: Pdf, number: number): Promise<string> {
  try {
    const page = await document.getPage(number);
    const { items } = await page.getTextContent();
    page.cleanup();
    return items
      .map((item) => ("str" in item ? item.str + (item.hasEOL ? "\n" : "") : ""))
      .join("")
      .trim();
  } catch {
    return "";
  }
}

function kindOf(name: string, texts: readonly string[]): string {
  const without = texts.filter((text) => text === "").length;
  const pages = texts.length === 1 ? "1 page" : `${texts.length} pages`;
  if (without === texts.length)
    throw documentError(
      name,
      `has no text: its ${pages} ${texts.length === 1 ? "is a picture" : "are pictures"}, as of a scan`,
      "Run it through text recognition (OCR) first.",
    );
  return without === 0 ? `PDF, ${pages}` : `PDF, ${pages}, ${without} of them without text`;
}
