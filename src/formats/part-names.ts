/** Names of models in several files, and what they say. */

const PART = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** Which part a file name says it is; undefined for the name of a whole file. */
export function partOf(name: string): { no: number; count: number } | undefined {
  const match = PART.exec(name);
  if (match === null) return undefined;
  const [no, count] = [Number(match[1]), Number(match[2])];
  return no >= 1 && no <= count ? { no, count } : undefined;
}

/** The names of all parts, in order; the name alone where it is no part's. A query stays behind it. */
export function partNames(name: string): string[] {
  const [, path = name, rest = ""] = /^([^?#]*)(.*)$/s.exec(name) ?? [];
  const part = partOf(path);
  if (part === undefined) return [name];
  const count = String(part.count).padStart(5, "0");
  return Array.from({ length: part.count }, (_, i) =>
    path.replace(PART, (_all, _no, _count, end: string) => {
      return `-${String(i + 1).padStart(5, "0")}-of-${count}${end}${rest}`;
    }),
  );
}

const SAFETENSORS = /\.safetensors(\.index\.json)?$/i;

export const isSafetensors = (name: string): boolean => SAFETENSORS.test(name.split(/[?#]/, 1)[0]!);

/** True for an address of more than one file. */
export const isParted = (address: string): boolean =>
  partNames(address).length > 1 || isSafetensors(address);
