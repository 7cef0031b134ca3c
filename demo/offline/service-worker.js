/**
 * The page without a network. A build writes the version and the list of files into it (vite.config.ts).
 *
 * The page itself is asked for over the network first, so nobody is served an old one while there is a network. Its
 * files have the hash of what they hold in their names, and come from here. Models are not its business: the engine
 * keeps them.
 */
const PREFIX = "winnow-page-";
const CACHE = `${PREFIX}VERSION`;
const FILES = /** @type {string[]} */ (["FILES"]);
/** A network that says nothing for so long is none. */
const PATIENCE_MS = 4000;

const worker = /** @type {any} */ (self);
/** @type {string} */
const scope = worker.registration.scope;
const page = new URL("./", scope).href;
const known = new Set(FILES.map((file) => new URL(file, scope).href));

worker.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(keepAll());
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(Promise.all([dropOthers(), worker.clients.claim()]));
});

worker.addEventListener("message", (/** @type {any} */ event) => {
  if (event.data === "take-over") worker.skipWaiting();
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  const url = new URL(request.url);
  url.search = url.hash = "";
  const { href } = url;
  if (request.mode === "navigate") {
    if (href === page || href === `${page}index.html`) event.respondWith(freshPage(request));
  } else if (href.startsWith(`${page}assets/`)) event.respondWith(hashedFile(request, href));
  else if (known.has(href)) event.respondWith(freshFile(request, href));
});

/** All or nothing: a version that is kept in part would break without a network. */
async function keepAll() {
  const cache = await caches.open(CACHE);
  // Not what the browser's own cache has: a new version is whole.
  await cache.addAll(FILES.map((file) => new Request(new URL(file, scope), { cache: "no-cache" })));
}

async function dropOthers() {
  for (const name of await caches.keys())
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
}

/** @param {Request} request */
async function freshPage(request) {
  const fetched = await soon(request);
  return fetched?.ok ? fetched : ((await kept(page)) ?? fetched ?? Response.error());
}

/** @param {Request} request @param {string} href */
async function freshFile(request, href) {
  const fetched = await soon(request);
  return fetched?.ok ? fetched : ((await kept(href)) ?? fetched ?? Response.error());
}

/** @param {Request} request @param {string} href */
async function hashedFile(request, href) {
  const found = await caches.match(href);
  if (found !== undefined) return found;
  const response = await fetch(request);
  if (response.ok) {
    const copy = response.clone();
    const cache = await caches.open(CACHE);
    // A full storage keeps nobody from the page.
    await cache.put(href, copy).catch(() => undefined);
  }
  return response;
}

/** @param {string} href */
async function kept(href) {
  const cache = await caches.open(CACHE);
  return cache.match(href);
}

/** Null where the network fails or is silent. @param {Request} request @returns {Promise<Response | null>} */
async function soon(request) {
  // What has begun to come is waited for.
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), PATIENCE_MS);
  try {
    return await fetch(request, { signal: silence.signal });
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
