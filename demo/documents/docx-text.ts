import mammoth from "mammoth";
import type { Attachment } from "../state/chats/chat-types.ts";
import { documentError } from "./document-error.ts";
import { htmlText } from "./html-text.ts";

/** More than this is no document: it would fill the memory when it is unpacked. */
const LARGEST_UNPACKED = 300e6;

/** The words of a Word document. */
export async function docxText(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Omit<Attachment, "name">> {
  // A compound file in place of a ZIP: an encrypted document, or one of Word before 2007.
  if (bytes[0] === 0xd0)
    throw documentError(
      name,
      "is encrypted, or an old Word file (.doc)",
      "Open it in Word or LibreOffice and save it as .docx without a password.",
    );
  if (unpackedSize(bytes) > LARGEST_UNPACKED)
    throw documentError(
      name,
      "is too large: it unpacks to more than 300 MB",
      "Take the part you need.",
    );
  const result = await mammoth
    .convertToHtml(
      { arrayBuffer: bytes.buffer },
      { convertImage: mammoth.images.imgElement(async () => ({ src: "" })) },
    )
    .catch((cause: unknown) => {
      throw documentError(
        name,
        "is no Word document (.docx), or it is damaged",
        "Choose a text, Markdown, HTML, PDF or Word (.docx) file.",
        cause,
      );
    });
  return { kind: "Word", text: htmlText(result.value) };
}

/** What the directory of a ZIP file says that its files unpack to, in bytes. */
export function unpackedSize(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) return 0;
  let at = view.getUint32(end + 16, true);
  let size = 0;
  while (at + 46 <= bytes.length && view.getUint32(at, true) === 0x02014b50) {
    size += view.getUint32(at + 24, true);
    // Behind an entry's fixed part come its name, extra fields and comment.
    at += 46 + [28, 30, 32].reduce((sum, field) => sum + view.getUint16(at + field, true), 0);
  }
  return size;
}
