// An extension's page is found by the id of its service worker.
