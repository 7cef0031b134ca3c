/** The parts that are there: an option that is undefined is left out, as if nobody had named it. */
export const defined = <T extends object>(
  parts: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
