/**
 * Registers the service worker of a built page, and calls `onUpdate` once a newer version of the page is ready. A page
 * that cannot have one works as before.
 */
export async function keepOffline(onUpdate: (reload: () => void) => void): Promise<void> {
  if (import.meta.env.DEV || !("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  try {
    const registration = await container.register("./sw.js");
    const offer = (worker: ServiceWorker | null): void => {
      // The first worker of a page is no update.
      if (worker === null || container.controller === null) return;
      onUpdate(() => {
        container.addEventListener("controllerchange", () => location.reload(), { once: true });
        worker.postMessage("take-over");
      });
    };
    offer(registration.waiting);
    registration.addEventListener("updatefound", () => {
      const worker = registration.installing;
      worker?.addEventListener("statechange", () => {
        if (worker.state === "installed") offer(worker);
      });
    });
  } catch {
    // Refused in a private window, or by a server without sw.js.
  }
}
