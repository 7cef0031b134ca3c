/** Regular expressions of string formats: whole matches, each a part of what the format allows. */
const MONTH_31 = "(?:0[13578]|1[02])";
const MONTH_30 = "(?:0[469]|11)";
const DATE = `(?:19|20)[0-9]{2}-(?:${MONTH_31}-(?:0[1-9]|[12][0-9]|3[01])|${MONTH_30}-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))`;
const TIME =
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])";
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,4}`;
const DOMAIN = `${LABEL}(?:\\.${LABEL}){0,3}\\.[a-z]{2,12}`;
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const GROUP = "[0-9a-f]{1,4}";
const PATH = "(?:/[A-Za-z0-9._~-]{0,40}){0,8}";
const QUERY = "(?:\\?[A-Za-z0-9._~=&-]{0,80})?(?:#[A-Za-z0-9._~-]{0,40})?";
const URI = `https?://${DOMAIN}(?::[1-9][0-9]{0,3})?${PATH}${QUERY}`;

/** Shorter ones, for short strings. */
const SHORT_URI = "https?://[a-z0-9]{1,20}\\.[a-z]{2,6}(?:/[A-Za-z0-9._~-]{0,24})?";

/** From the widest on: where the lengths of one cannot be counted up to a string's bound, a string is held to the next. */
export const FORMATS: Readonly<Record<string, readonly string[]>> = {
  date: [DATE],
  time: [TIME],
  "date-time": [`${DATE}T${TIME}`],
  duration: [
    "P(?:[1-9][0-9]{0,3}D(?:T[1-9][0-9]{0,3}[HMS])?|T[1-9][0-9]{0,3}[HMS]|[1-9][0-9]{0,3}[YMW])",
  ],
  email: [
    `[A-Za-z0-9_+-]{1,24}(?:\\.[A-Za-z0-9_+-]{1,16}){0,2}@${DOMAIN}`,
    "[A-Za-z0-9_+-]{1,16}@[a-z0-9]{1,16}\\.[a-z]{2,6}",
  ],
  hostname: [HOST],
  ipv4: [`${BYTE}(?:\\.${BYTE}){3}`],
  ipv6: [`(?:${GROUP}:){7}${GROUP}`],
  uri: [URI, SHORT_URI],
  "uri-reference": [
    `(?:${URI}|/[A-Za-z0-9._~-]{1,40}${PATH}${QUERY})`,
    `(?:${SHORT_URI}|/[A-Za-z0-9._~-]{1,24})`,
  ],
  uuid: ["[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"],
  "json-pointer": ["(?:/[A-Za-z0-9_-]{1,40}){0,8}"],
};

/** Formats of JSON Schema that are refused; names that it does not know say nothing about a value. */
export const REFUSED_FORMATS: readonly string[] = [
  "idn-email",
  "idn-hostname",
  "iri",
  "iri-reference",
  "uri-template",
  "relative-json-pointer",
  "regex",
];
