import { crc32, deflateRawSync } from "node:zlib";

/** Documents as bytes, small and made on the spot. */

const latin = (text: string): Buffer => Buffer.from(text, "latin1");

export interface PdfOptions {
  /** Asks for a password that nobody knows. */
  encrypted?: boolean;
}

/** A PDF with these pages; a page of no lines has a picture's rectangle in place of text. */
export function makePdf(
  pages: readonly string[][],
  { encrypted = false }: PdfOptions = {},
): Buffer {
  const kids = pages.map((_, i) => `${4 + 2 * i} 0 R`).join(" ");
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ...pages.flatMap((lines, i) => {
      const shown = lines.map((line) => `(${line.replace(/[()\\]/g, "\\$&")}) Tj T*`).join(" ");
      const content =
        lines.length > 0 ? `BT /F1 11 Tf 14 TL 60 780 Td ${shown} ET` : "60 60 400 600 re f";
      return [
        `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents ${5 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
        `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
      ];
    }),
  ];
  const secret = `<${"5a".repeat(32)}>`;
  const lock = encrypted
    ? ` /ID [${secret} ${secret}] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O ${secret} /U ${secret} >>`
    : "";
  let file = "%PDF-1.4\n";
  const offsets = objects.map((object, i) => {
    const at = file.length;
    file += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(at).padStart(10, "0")} 00000 n \n`;
  });
  const count = objects.length + 1;
  const table = `xref\n0 ${count}\n0000000000 65535 f \n${offsets.join("")}`;
  const end = `trailer\n<< /Size ${count} /Root 1 0 R${lock} >>\nstartxref\n${file.length}\n%%EOF\n`;
  return latin(file + table + end);
}

/** A ZIP file; `claimed` is what it says that its first file unpacks to. */
export function makeZip(files: Readonly<Record<string, string>>, claimed?: number): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [path, text] of Object.entries(files)) {
    const name = Buffer.from(path);
    const raw = Buffer.from(text);
    const packed = deflateRawSync(raw);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(raw), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claimed ?? raw.length, 18);
    fields.writeUInt16LE(name.length, 22);
    bodies.push(latin("PK\x03\x04"), fields, name, packed);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    directory.push(latin("PK\x01\x02\x14\x00"), fields, place, name);
    at += 30 + name.length + packed.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(Object.keys(files).length, 4);
  end.writeUInt16LE(Object.keys(files).length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...bodies, listed, latin("PK\x05\x06"), end]);
}

/** A Word document with these paragraphs. */
export function makeDocx(paragraphs: readonly string[], claimed?: number): Buffer {
  const main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
  const relations = "http://schemas.openxmlformats.org/package/2006/relationships";
  const office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
  const types = "http://schemas.openxmlformats.org/package/2006/content-types";
  const word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";
  const body = paragraphs.map((text) => `<w:p><w:r><w:t>${text}</w:t></w:r></w:p>`).join("");
  return makeZip(
    {
      "[Content_Types].xml": `<Types xmlns="${types}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="${word}"/></Types>`,
      "_rels/.rels": `<Relationships xmlns="${relations}"><Relationship Id="r1" Type="${office}/officeDocument" Target="word/document.xml"/></Relationships>`,
      "word/document.xml": `<w:document xmlns:w="${main}"><w:body>${body}</w:body></w:document>`,
    },
    claimed,
  );
}
