/** Lower-case hex SHA-256 of what is in memory as a whole; of longer things see sha256-stream.ts. */
export async function sha256Of(data: string | Uint8Array): Promise<string> {
  // Copied, since WebCrypto takes no shared memory.
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
