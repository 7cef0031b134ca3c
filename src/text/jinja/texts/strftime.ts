import { TemplateError } from "../template-error.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  ...["January", "February", "March", "April", "May", "June", "July", "August"],
  ...["September", "October", "November", "December"],
];
const DAY_MS = 86_400_000;

/** Whole days since 1970 of a local date. */
const dayNumber = (date: Date): number =>
  Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS);

const dayOfYear = (date: Date): number =>
  dayNumber(date) - dayNumber(new Date(date.getFullYear(), 0, 1)) + 1;

/** Year and week by ISO 8601: the week's Thursday decides. */
function isoWeek(date: Date): readonly [year: number, week: number] {
  const thursday = new Date(
    date.getFullYear(),
    date.getMonth(),
    date.getDate() - ((date.getDay() + 6) % 7) + 3,
  );
  return [thursday.getFullYear(), Math.floor((dayOfYear(thursday) - 1) / 7) + 1];
}

/** A number, how many digits it has at least, and what fills them up. */
type Digits = readonly [value: number, width: number, fill?: string];

function digitsOf(date: Date, directive: string): Digits | undefined {
  const hours = date.getHours();
  const year = date.getFullYear();
  switch (directive) {
    case "d":
      return [date.getDate(), 2];
    case "e":
      return [date.getDate(), 2, " "];
    case "m":
      return [date.getMonth() + 1, 2];
    case "y":
      return [year % 100, 2];
    case "Y":
      return [year, 1];
    case "C":
      return [Math.floor(year / 100), 2];
    case "H":
      return [hours, 2];
    case "k":
      return [hours, 2, " "];
    case "I":
      return [hours % 12 || 12, 2];
    case "l":
      return [hours % 12 || 12, 2, " "];
    case "M":
      return [date.getMinutes(), 2];
    case "S":
      return [date.getSeconds(), 2];
    case "f":
      return [date.getMilliseconds() * 1000, 6];
    case "j":
      return [dayOfYear(date), 3];
    case "U":
      return [Math.floor((dayOfYear(date) + 6 - date.getDay()) / 7), 2];
    case "W":
      return [Math.floor((dayOfYear(date) + 6 - ((date.getDay() + 6) % 7)) / 7), 2];
    case "V":
      return [isoWeek(date)[1], 2];
    case "G":
      return [isoWeek(date)[0], 1];
    case "g":
      return [isoWeek(date)[0] % 100, 2];
    case "u":
      return [date.getDay() || 7, 1];
    case "w":
      return [date.getDay(), 1];
    case "s":
      return [Math.floor(date.getTime() / 1000), 1];
  }
  return undefined;
}

/** Directives that stand for others. */
const COMPOSED: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  x: "%m/%d/%y",
  D: "%m/%d/%y",
  X: "%H:%M:%S",
  T: "%H:%M:%S",
  R: "%H:%M",
  r: "%I:%M:%S %p",
  F: "%Y-%m-%d",
};

function wordOf(date: Date, directive: string): string | undefined {
  const day = DAYS[date.getDay()]!;
  const month = MONTHS[date.getMonth()]!;
  const half = date.getHours() < 12 ? "AM" : "PM";
  switch (directive) {
    case "A":
      return day;
    case "a":
      return day.slice(0, 3);
    case "B":
      return month;
    case "b":
    case "h":
      return month.slice(0, 3);
    case "p":
      return half;
    case "P":
      return half.toLowerCase();
    case "n":
      return "\n";
    case "t":
      return "\t";
    case "%":
      return "%";
    case "z":
    case "Z":
      // A time without a zone, as Python's `datetime.now()`.
      return "";
  }
  return undefined;
}

/**
 * Python's `date.strftime` on Linux, in English whatever the browser speaks; `-`, `_`, `0`, `^` and `#` behind the
 * percent sign are known, and a width. Directives that nobody knows stay.
 */
export function strftime(date: Date, format: string): string {
  if (format.length > 1000) throw new TemplateError("strftime_now: the format is too long");
  return format.replace(
    /%([-_0^#]*)(\d{0,3})[EO]?(.)/gsu,
    (whole, flags: string, width: string, directive: string) => {
      const composed = COMPOSED[directive];
      let text = composed ? strftime(date, composed) : wordOf(date, directive);
      let fill = " ";
      if (text === undefined) {
        const digits = digitsOf(date, directive);
        if (!digits) return whole;
        const [value, least, usual = "0"] = digits;
        fill = flags.includes("_") ? " " : flags.includes("0") ? "0" : usual;
        text = flags.includes("-") ? String(value) : String(value).padStart(least, fill);
      }
      if (flags.includes("^")) text = text.toUpperCase();
      if (flags.includes("#")) text = directive === "p" ? text.toLowerCase() : text.toUpperCase();
      return text.padStart(Number(width), fill);
    },
  );
}
