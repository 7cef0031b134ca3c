import { loadLater, throwIfAborted } from "../../src/errors.ts";
import { formatBytes, formatCount } from "../format.ts";
import type { Attachment } from "../state/chats/chat-types.ts";
import { documentError } from "./document-error.ts";
import { decodeText, isText } from "./plain-text.ts";
import type { ReadingOptions } from "./reading-options.ts";

const LARGEST_FILE = 100e6;
/** About a million tokens. */
const LONGEST_TEXT = 4_000_000;

/** The text of a document. Throws a WinnowError that says what is wrong with the file, and what to do. */
export async function readDocument(file: File, options: ReadingOptions = {}): Promise<Attachment> {
  const { name } = file;
  if (file.size > LARGEST_FILE)
    throw tooLarge(name, `${formatBytes(file.size)}, and at most ${formatBytes(LARGEST_FILE)}`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  throwIfAborted(options.signal);
  const { kind, text } = await extract(name, bytes, options);
  throwIfAborted(options.signal);
  const trimmed = text.trim();
  if (trimmed === "")
    throw documentError(name, "holds no text", "Choose a document that has words in it.");
  if (trimmed.length > LONGEST_TEXT)
    throw tooLarge(
      name,
      `${formatCount(trimmed.length)} characters of text, and at most ${formatCount(LONGEST_TEXT)}`,
    );
  return { name, kind, text: trimmed };
}

/** The kind is told by what the file begins with, and by its name only where that says nothing. */
async function extract(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  options: ReadingOptions,
): Promise<Omit<Attachment, "name">> {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 1024));
  if (start.includes("%PDF-")) {
    const { pdfText } = await loadLater("PDF files", () => import("./pdf-text.ts"));
    return pdfText(name, bytes, options);
  }
  if (start.startsWith("PK\x03\x04") || start.startsWith("\xd0\xcf\x11\xe0")) {
    const { docxText } = await loadLater("Word files", () => import("./docx-text.ts"));
    return docxText(name, bytes);
  }
  if (/\.pdf$/i.test(name))
    throw documentError(name, "is no PDF: it does not begin like one", "Get the file again.");
  if (/\.docx$/i.test(name))
    throw documentError(name, "is no Word document: it is no ZIP file", "Get the file again.");
  if (!isText(bytes))
    throw documentError(
      name,
      "is a binary file, which has no text to read",
      "Choose a text, Markdown, HTML, PDF or Word (.docx) file.",
    );
  const text = decodeText(bytes);
  if (!/\.html?$/i.test(name) && !/^\s*<(!doctype html|html)\b/i.test(start))
    return { kind: /\.md$/i.test(name) ? "Markdown" : "text", text };
  const { htmlText } = await loadLater("HTML files", () => import("./html-text.ts"));
  return { kind: "HTML", text: htmlText(text) };
}

const tooLarge = (name: string, has: string) =>
  documentError(
    name,
    `is too large: it has ${has} are read`,
    "Split it, or take the part you need.",
  );
