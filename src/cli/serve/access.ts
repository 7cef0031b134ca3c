import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { HttpError } from "./http-error.ts";

/** Who may ask. */
export interface AccessRules {
  /** The address that the server listens on. */
  readonly host: string;
  /** What `Authorization: Bearer` must say; undefined: nothing is asked for. */
  readonly key?: string | undefined;
  /** Origins whose pages may ask, or "*". */
  readonly origins: readonly string[];
}

/** Whether an address can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (isIP(name) === 4) return name.startsWith("127.");
  return name === "::1" || name === "localhost" || name.endsWith(".localhost");
}

/**
 * Lets a request in, or throws HttpError 401 or 403; writes the CORS headers, so that a page of an allowed origin can read
 * errors too. True where the request was a preflight and is answered.
 *
 * What a web page sends carries its origin, also where the page could not read the answer: without that check every
 * site that a user visits could have the model work. A name that an attacker points at this machine is seen in `Host`.
 */
export function admit(
  request: IncomingMessage,
  response: ServerResponse,
  rules: AccessRules,
): boolean {
  checkHost(request, rules);
  const { origin } = request.headers;
  if (origin !== undefined) {
    const allowed = rules.origins.find((one) => one === "*" || one === origin);
    if (allowed === undefined)
      throw new HttpError(403, `pages of ${origin} may not ask: start the server with --cors`, {
        code: "origin_not_allowed",
      });
    response.setHeader("access-control-allow-origin", allowed);
    response.setHeader("access-control-expose-headers", "retry-after");
    response.setHeader("vary", "origin");
  }
  if (request.method === "OPTIONS") {
    answerPreflight(request, response);
    return true;
  }
  checkKey(request, rules);
  return false;
}

function checkHost({ headers }: IncomingMessage, { host }: AccessRules): void {
  if (!isLoopback(host) || headers.host === undefined) return;
  const name = headers.host.replace(/:\d*$/, "");
  if (isLoopback(name)) return;
  throw new HttpError(403, `this server answers on ${host}, not as ${name}`, {
    code: "host_not_allowed",
  });
}

function checkKey({ headers }: IncomingMessage, { key }: AccessRules): void {
  if (key === undefined) return;
  const given = /^Bearer\s+(.*)$/i.exec(headers.authorization ?? "")?.[1];
  if (given !== undefined && sameText(given, key)) return;
  const problem = given === undefined ? "no key was given" : "the key is wrong";
  throw new HttpError(401, `${problem}: send "Authorization: Bearer KEY"`, {
    code: "invalid_api_key",
    headers: { "www-authenticate": "Bearer" },
  });
}

/** Takes the same time whatever the two have in common. */
function sameText(a: string, b: string): boolean {
  const [one, other] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(one!, other!);
}

function answerPreflight({ headers }: IncomingMessage, response: ServerResponse): void {
  response.setHeader("access-control-allow-methods", "GET, POST");
  // Clients send headers of their own; none of them says anything here.
  const asked = headers["access-control-request-headers"];
  if (asked) response.setHeader("access-control-allow-headers", asked);
  if (headers["access-control-request-private-network"])
    response.setHeader("access-control-allow-private-network", "true");
  response.setHeader("access-control-max-age", "600");
  response.writeHead(204).end();
}
