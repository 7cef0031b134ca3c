import { existsSync } from "node:fs";

/** Where Debian, Fedora, snap and Mozilla's own installers put it. */
const USUAL_PATHS = [
  "/usr/bin/firefox",
  "/usr/bin/firefox-esr",
  "/usr/lib/firefox/firefox",
  "/opt/firefox/firefox",
  "/snap/bin/firefox",
  "/Applications/Firefox.app/Contents/MacOS/firefox",
  "C:\\Program Files\\Mozilla Firefox\\firefox.exe",
];

/** FIREFOX_PATH, else the first of the usual paths that exists; undefined where there is none. */
export function findFirefox(): string | undefined {
  return process.env.FIREFOX_PATH || USUAL_PATHS.find((path) => existsSync(path));
}
