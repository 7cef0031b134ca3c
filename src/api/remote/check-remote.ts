import { invalidArgument } from "../../errors.ts";
import { checkOneOf, checkString, isGiven, readFields } from "../checks/check.ts";
import type { InferenceMode, RemoteOptions } from "../remote-types.ts";

const MODES = [
  "only-on-device",
  "prefer-on-device",
  "prefer-in-cloud",
  "only-in-cloud",
] as const satisfies readonly InferenceMode[];

/** A server's options, checked; its address ends without a slash. Throws invalid_argument. */
export function checkRemote(value: unknown): RemoteOptions {
  const given = readFields("remote", value, ["baseURL", "apiKey", "model"]);
  const baseURL = checkString("remote.baseURL", given.baseURL);
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const url = URL.canParse(baseURL, base) ? new URL(baseURL, base) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalidArgument(
      "remote.baseURL",
      `must be an address of http or https, not "${baseURL}"`,
      'For example "http://127.0.0.1:8080/v1".',
    );
  return {
    baseURL: url.href.replace(/\/+$/, ""),
    model: checkString("remote.model", given.model),
    ...(given.apiKey === undefined ? {} : { apiKey: checkString("remote.apiKey", given.apiKey) }),
  };
}

/** The mode, and the server that it needs; a server that is named without a mode stands in for the device. */
export function checkMode(
  mode: unknown,
  remote: unknown,
): { mode: InferenceMode; remote: RemoteOptions | undefined } {
  const checked = !isGiven(remote) ? undefined : checkRemote(remote);
  const asked = !isGiven(mode) ? "prefer-on-device" : checkOneOf("mode", mode, MODES);
  if (asked !== "only-on-device" && !checked)
    throw invalidArgument(
      "remote",
      `is needed by the mode "${asked}"`,
      "Name a server: remote: { baseURL, model }. Nothing is sent anywhere without.",
    );
  return { mode: asked, remote: checked };
}
