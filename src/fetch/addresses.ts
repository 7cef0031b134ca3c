/** Addresses of files, and what they say. */

export interface HubFile {
  readonly repo: string;
  readonly file: string;
  readonly revision?: string;
}

/** The address of a file in a Hugging Face repository. */
export function hubUrl({ repo, file, revision = "main" }: HubFile): string {
  const encode = (path: string) => path.split("/").map(encodeURIComponent).join("/");
  return `https://huggingface.co/${encode(repo)}/resolve/${encodeURIComponent(revision)}/${encode(file)}`;
}

const HUB_FILE = /^https:\/\/huggingface\.co\/([^/?#]+\/[^/?#]+)\/resolve\/([^/?#]+)\/([^?#]+)/;

/** The file that an address of the hub names; the inverse of `hubUrl`. */
export function hubFileOf(url: string): Required<HubFile> | undefined {
  const match = HUB_FILE.exec(url);
  if (match === null) return undefined;
  try {
    const [repo, revision, file] = match.slice(1).map(decodeURIComponent);
    return { repo: repo!, revision: revision!, file: file! };
  } catch {
    return undefined;
  }
}

/** The last part of a URL's path, for messages and names. */
export function fileNameOf(url: string): string {
  const path = url.split(/[?#]/, 1)[0] as string;
  return path.slice(path.lastIndexOf("/") + 1) || url;
}
