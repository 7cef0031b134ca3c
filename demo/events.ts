/** Components say what the user did by these events; the payload is `detail`. */
export function emit<T>(from: EventTarget, name: string, detail?: T): void {
  from.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
}

export const detailOf = <T>(event: Event): T => (event as CustomEvent<T>).detail;
