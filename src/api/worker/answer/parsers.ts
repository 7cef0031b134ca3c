import type { CheckedRequest } from "../../checks/validate-request.ts";
import type { ChannelParser } from "./channel-parser.ts";

/** What takes the channels out of an answer to this request, in the order in which they look at its text. */
export async function parsersFor(_request: CheckedRequest): Promise<readonly ChannelParser[]> {
  return [];
}
